"""Take the README's pictures of the built website: `make screenshots`. Needs Chromium and the package playwright.

book/figures/page.png is a part of chapter 1 with marked entities, book/figures/try_it.png the page "Try it" with an answer
(only where the site was built with a model).
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import HTML, chromium, missing, served  # noqa: E402 (its folder is added above)

FIGURES = ROOT / "book" / "figures"
WIDTH, HEIGHT = 1280, 800


def main() -> int:
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    with served(HTML) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{address}book/01_data_inspection.html", wait_until="networkidle")
        page.locator("mark").first.evaluate("(mark) => scrollTo(0, mark.getBoundingClientRect().top - 500)")
        page.wait_for_timeout(500)
        page.screenshot(path=FIGURES / "page.png")
        print(FIGURES / "page.png")
        page.goto(f"{address}book/try_it.html", wait_until="networkidle")
        box = page.locator(".try-it").first
        box.locator("button").click()
        box.locator("button:enabled").wait_for(timeout=120_000)
        if not box.locator("mark").count():
            print("the site has no model, so there is no picture of an answer:", box.locator(".status").inner_text())
            return 0
        page.screenshot(path=FIGURES / "try_it.png")
        print(FIGURES / "try_it.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
