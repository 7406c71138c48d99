"""The page by keyboard."""

from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit


async def test_shift_enter_and_composing_do_not_send(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.draft.fill("Why")
        await visitor.draft.press("Shift+Enter")
        await visitor.draft.press_sequentially("now")
        composing = "(it) => it.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true}))"
        await visitor.draft.evaluate(composing)
        await expect(visitor.draft).to_have_value("Why\nnow")
        await visitor.draft.press("Enter")
        await visitor.says("Sky")
        assert [body["messages"][-1]["content"] for body in visitor.log.sent] == ["Why\nnow"]


async def test_nothing_is_sent_where_nothing_is_written(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask(" \n ")
        await visitor.draft.fill("")
        await expect(visitor.button("Send")).to_be_disabled()
        await visitor.choose("Completion")
        await visitor.sheet.press("Control+Enter")
        await expect(visitor.button("Continue")).to_be_disabled()
        assert visitor.log.sent == []


async def test_everything_can_be_reached_by_tab_in_the_order_of_the_page_and_shows_its_focus(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.page.mouse.click(5, 5)
        look = """(it) => [it, it.parentElement, it.nextElementSibling].filter(Boolean).map((one) => {
            const { outlineStyle, outlineWidth, boxShadow, borderColor } = getComputedStyle(one);
            const hasOutline = outlineStyle !== "none" && outlineWidth !== "0px";
            return [hasOutline, boxShadow, borderColor].join();
        }).join()"""
        reached: list[str] = []
        for _ in range(40):
            await visitor.page.keyboard.press("Tab")
            here = visitor.page.locator(":focus")
            if not await here.count():
                break
            name = await here.evaluate("(it) => it.id || it.value || it.dataset.act || it.textContent.trim()")
            focused = await here.evaluate(look)
            handle = await here.element_handle()
            assert handle is not None
            await handle.evaluate("(it) => it.blur()")
            assert focused != await handle.evaluate(look), name
            await handle.evaluate("(it) => it.focus()")
            reached.append(name)
        assert reached == [
            *("chat", "new"),
            *("chat", "continue", "retry", "copy"),
            *("draft", "go", "Request as curl"),
            *("model", "system", "temperature", "max_tokens", "top_p", "top_k", "min_p", "repeat_penalty", "seed"),
            *("stop", "reset", "theme"),
            *("API docs", "Metrics", "Health"),
        ]


async def test_a_person_needs_only_the_keyboard(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        keyboard = visitor.page.keyboard
        await visitor.hands.shut()
        await visitor.draft.focus()
        await keyboard.type("Why?")
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        await expect(visitor.draft).to_be_focused()
        await visitor.hands.held()
        await visitor.step()
        await visitor.says("S")
        await keyboard.press("Escape")
        await expect(visitor.status).to_contain_text("stopped by you")
        await visitor.hands.open()
        for _ in range(2):
            await keyboard.press("Shift+Tab")
        await keyboard.press("Enter")
        await visitor.says("Sky")
        await expect(visitor.draft).to_be_focused()
