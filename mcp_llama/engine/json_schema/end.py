"""Whether a JSON schema allows a value that comes to an end."""

from collections.abc import Mapping

from mcp_llama.engine.json_schema.keywords import is_list, is_mapping, is_number
from mcp_llama.engine.json_schema.pointer import find, from_fragment
from mcp_llama.engine.json_schema.rules import Schema

_MAX_ROUNDS = 20


def ends(root: Schema) -> bool:
    """Whether a value of `root` can end; True also where that takes too long to tell."""
    search = _Search(root)
    for _ in range(_MAX_ROUNDS):
        before = len(search.ending)
        if search.ends(root):
            return True
        if len(search.ending) == before:
            return False
    return True


class _Search:
    """Collects the references whose targets can end, starting from none."""

    def __init__(self, root: Schema) -> None:
        self.ending: set[str] = set()
        self._root = root
        self._open: set[str] = set()

    def ends(self, schema: object) -> bool:
        if not is_mapping(schema):
            return schema is not False
        parts = [self._shape_ends(schema)]
        if "$ref" in schema:
            parts.append(self._target_ends(str(schema["$ref"])))
        for keyword, enough in (("allOf", all), ("anyOf", any), ("oneOf", any)):
            branches = schema.get(keyword)
            if is_list(branches):
                parts.append(enough([self.ends(branch) for branch in branches]))
        return all(parts)

    def _target_ends(self, reference: str) -> bool:
        if reference not in self.ending and reference not in self._open:
            self._open.add(reference)
            if self.ends(find(self._root, from_fragment(reference) or "")):
                self.ending.add(reference)
            self._open.discard(reference)
        return reference in self.ending

    def _shape_ends(self, schema: Mapping[str, object]) -> bool:
        if "const" in schema or "enum" in schema or "type" not in schema:
            return True
        kinds = schema["type"] if is_list(schema["type"]) else [schema["type"]]
        return any(self._kind_ends(kind, schema) for kind in kinds)

    def _kind_ends(self, kind: object, schema: Mapping[str, object]) -> bool:
        if kind == "object":
            required, properties = schema.get("required"), schema.get("properties")
            if not is_mapping(properties) or not is_list(required):
                return True
            return all(self.ends(properties.get(str(name), True)) for name in required)
        if kind == "array":
            least, prefix = schema.get("minItems", 0), schema.get("prefixItems")
            first = prefix if is_list(prefix) else []
            count = int(least) if is_number(least) else 0
            rest = schema.get("items", True) if count > len(first) else True
            return all(self.ends(part) for part in [*first[:count], rest])
        return True
