"""The page by ear."""

from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit


async def test_screen_readers_hear_the_beginning_and_the_end_but_no_tokens(browser: Browser) -> None:
    record = """
        globalThis.heard = [];
        document.addEventListener("DOMContentLoaded", () => {
            const note = () => globalThis.heard.push(announcer.textContent);
            new MutationObserver(note).observe(announcer, { childList: true, subtree: true, characterData: true });
        });
    """
    async with visit(browser, SKY, script=record) as visitor:
        log = visitor.page.get_by_role("log", name="Conversation")
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.says("S")
        await expect(log).to_have_attribute("aria-busy", "true")
        await visitor.hands.open()
        await expect(visitor.announced).to_have_text("Done, 3 tokens")
        await expect(log).to_have_attribute("aria-busy", "false")
        assert await visitor.page.evaluate("() => globalThis.heard") == ["Generating", "Done, 3 tokens"]
        await expect(visitor.announced).to_have_attribute("aria-live", "polite")


async def test_every_control_has_a_name(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.page.get_by_text("Request as curl").click()
        roles: set[str] = set()
        for mode in ("Chat", "Completion"):
            await visitor.choose(mode)
            for role, name in await visitor.focusable():
                assert name, role
                roles.add(role)
        assert roles >= {"button", "combobox", "link", "radio", "region", "spinbutton", "textbox"}


async def test_the_page_has_landmarks_and_headings(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await expect(visitor.page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "mcp-llama" [level=1]
              - group "Mode":
                - radio "Chat" [checked]
                - radio "Completion"
              - button "New chat"
            - main:
              - region "Chat":
                - log "Conversation":
                  - article:
                    - heading "You" [level=2]
                  - article:
                    - heading "fake" [level=2]
              - textbox "Message"
              - button "Send" [disabled]
            - complementary "Settings":
              - heading "Settings" [level=2]
              - combobox "Model"
              - group "Sampling":
                - spinbutton "temperature"
            - contentinfo:
              - navigation "Server":
                - link "API docs"
            - status: Done, 3 tokens
        """)
