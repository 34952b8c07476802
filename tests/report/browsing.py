"""Pages in a headless Chromium, watched for what they say and ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def watched(browser: Browser, complaints: list[str], requests: list[str]) -> Page:
    """A new page whose console messages, errors and requests are noted; data URIs are left out."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("data:") else requests.append(request.url))
    return page


def contrasts(page: Page) -> list[tuple[float, str]]:
    """The contrast ratio (WCAG 2) of each piece of text to what is behind it, and the text."""
    script = """() => {
        const parse = colour => {
            const parts = colour.match(/[\\d.]+/g).map(Number);
            return {rgb: parts.slice(0, 3), alpha: parts[3] ?? 1};
        };
        const behind = element => {
            if (!element) return [255, 255, 255];
            const {rgb, alpha} = parse(getComputedStyle(element).backgroundColor);
            if (alpha === 1) return rgb;
            return behind(element.parentElement).map((under, i) => alpha * rgb[i] + (1 - alpha) * under);
        };
        const luminance = rgb => rgb.map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
        const texts = [...document.querySelectorAll("body *")].filter(element =>
            !element.matches("script, style, .nil") && element.checkVisibility() &&
            [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
        return texts.map(element => {
            const pair = [luminance(parse(getComputedStyle(element).color).rgb), luminance(behind(element))];
            return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), element.textContent.slice(0, 40)];
        });
    }"""
    return page.evaluate(script)
