"""Colours and motion."""

import pytest
from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit

CONTRASTS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b]
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const ground = (it) => {
        const colour = rgba(getComputedStyle(it).backgroundColor);
        return colour[3] === 255 || !it.parentElement ? colour : ground(it.parentElement);
    };
    const hasText = (it) => it.matches("input, textarea, select")
        || [...it.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const worst = {};
    for (const it of document.body.querySelectorAll("*")) {
        const colour = rgba(getComputedStyle(it).color);
        if (!hasText(it) || !it.checkVisibility() || colour[3] === 0) continue;
        const [one, other] = [light(colour), light(ground(it))].sort((a, b) => b - a);
        worst[it.id || it.className || it.tagName] = (one + 0.05) / (other + 0.05);
    }
    return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_all_text_has_contrast_in_light_and_dark(browser: Browser, scheme: str, mode: str) -> None:
    async with visit(browser, SKY, color_scheme=scheme) as visitor:
        await visitor.choose(mode)
        await visitor.page.get_by_text("Request as curl").click()
        box = visitor.draft if mode == "Chat" else visitor.sheet
        await box.fill("Why?")
        await box.press("Control+Enter")
        await visitor.ended()
        await box.fill("Why?")
        await visitor.field("top_p").fill("7")
        await box.press("Control+Enter")
        await expect(visitor.alert).to_be_visible()
        contrasts = await visitor.page.evaluate(CONTRASTS)
        assert len(contrasts) > 20
        assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


async def test_the_theme_follows_the_system_until_it_is_chosen(browser: Browser) -> None:
    async with visit(browser, color_scheme="light") as visitor:
        scheme = "() => getComputedStyle(document.body).backgroundColor"
        light = await visitor.page.evaluate(scheme)
        await visitor.page.emulate_media(color_scheme="dark")
        dark = await visitor.page.evaluate(scheme)
        assert light != dark
        await visitor.page.emulate_media(color_scheme="light")
        await visitor.button("Dark theme").click()
        await visitor.page.reload()
        assert await visitor.page.evaluate(scheme) == dark
        await expect(visitor.button("Dark theme")).to_have_attribute("aria-pressed", "true")
        await visitor.button("Dark theme").click()
        await visitor.page.reload()
        assert await visitor.page.evaluate(scheme) == light


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_nothing_moves_for_those_who_prefer_that(browser: Browser, motion: str) -> None:
    async with visit(browser, SKY, reduced_motion=motion) as visitor:
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.says("S")
        moving = await visitor.page.evaluate("() => document.getAnimations().length > 0")
        assert moving == (motion == "no-preference")
