"""Words of which prompts are made: common ones, which most models know as one token each."""

_TEXT = """
school group power research human animal treat state point number build play body must plan court common cell
social govern create method real public better material report place learning interest present project product
light energy open best direct various name history home move among mark look large think function rest control
area family potential object current program economic early together focus access last turn fear success making
print possible impact certain period mill land blood case since local head post value order come discuss text
across cost times problem view major course model prevent press hard line tool relations special consider species
future natural plant complex language role until second country young suggest exist today given strong little
character range business book next percent four similar short past space sing free heart later author words give
kind mind field begin parent question changes story upon whether record protect ever going left path account
higher growth century collect full super connect fund sure science never physical side brain however death term
unique ground above event particular sound near personal modern reason nature practice loss pattern
building detail size hold lower general explore meet already student global simple city living single members wind
source either deep house done team file activity engine live fall market action sent evidence quick target break
soft surface popular color writing mass port climate share rate clear below image whole pressure context
music money avoid instead adult tell micro culture review article site five training white reading check drug
position behavior skin clean computer week love critical weight black draw bring feed regular green identify
previous attention structure region fish select diet face total unit almost half service soil farm contact simply
link original close sleep easy extra heat travel issue greater stop wild correct slow fire mental media user
remember standard adapt broad safety stay normal daily inside policy basic answer late page talk overall visit
average cross beyond force kids network series bill electric earth cover carbon cool pack output colon game
document forest patient base night host wood civil digital poor tree software ancient active table images prior
section soon spirit video rules foot mother exercise road final rich front purpose third central device goal
memory property fair load length choose month chapter fast speed status solution mount symbol capital command
room dark bound block balance stage trust season private doctor graph limit protein birth date solar forward center
message trade teacher machine root copy essay hope journal task nothing middle burn dead save leave weather guide
fresh scale sugar born style core cold summer rock member peace gender equal element distance layer north father
email note figure math watch enter joint master picture choice king south index gold topic store female
"""

WORDS = tuple(_TEXT.split())
