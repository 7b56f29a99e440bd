"""A page as a browser without a screen sees it: headless Chromium, where it is installed."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
REASON = "no chromium (Debian: apt-get install chromium)"

# Said into the page by the script below, and read back from it.
_BEGIN, _END = "measured-begin", "measured-end"

_MEASURE = """
<script>
(async () => {
  const overlaps = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1.5;
  const pictures = [];
  for (const svg of document.querySelectorAll("figure svg")) {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(
      (t) => [t.textContent, t.getBoundingClientRect()]);
    const pairs = [];
    texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
      if (overlaps(a, b)) pairs.push([one, other]);
    }));
    const bitmaps = [];
    for (const element of svg.querySelectorAll("image")) {
      const bitmap = new Image();
      const loaded = new Promise((resolve) => { bitmap.onload = bitmap.onerror = resolve; });
      bitmap.src = element.getAttribute("xlink:href") || element.getAttribute("href");
      await loaded;
      bitmaps.push([bitmap.naturalWidth, bitmap.naturalHeight]);
    }
    const outside = texts.filter(([_, t]) => t.left < box.left - 2 || t.right > box.right + 2 ||
      t.top < box.top - 2 || t.bottom > box.bottom + 2).map(([text]) => text);
    pictures.push({
      width: box.width, height: box.height, hidden: svg.closest("details") !== null,
      texts: texts.map(([text]) => text), overlapping: pairs, outside: outside, bitmaps: bitmaps,
      paths: svg.querySelectorAll("path, use").length,
      color: texts.length ? getComputedStyle(svg.querySelector("text")).fill : null,
    });
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const measured = {
    title: document.title, heading: document.querySelector("h1").textContent,
    text: document.body.innerText, scripts: document.scripts.length,
    width: document.documentElement.scrollWidth, window: innerWidth,
    ids_twice: ids.filter((id, i) => ids.indexOf(id) !== i),
    broken_links: [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))
      .filter((href) => !document.querySelector(href)),
    color: getComputedStyle(document.body).color,
    background: getComputedStyle(document.body).backgroundColor,
    pictures: pictures,
  };
  const pre = document.createElement("pre");
  pre.textContent = "BEGIN" + btoa(unescape(encodeURIComponent(JSON.stringify(measured)))) + "END";
  document.body.append(pre);
})();
</script>
""".replace("BEGIN", _BEGIN).replace("END", _END)


def chromium(page: Path, *options: str, width: int = 1100, height: int = 900) -> tuple[str, str]:
    """Open a page and return the browser's output and what it logged."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                *options,
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return done.stdout, done.stderr


def complaints(log: str) -> list[str]:
    """Return what a page wrote to the console: errors, refused requests."""
    return [line for line in log.splitlines() if "CONSOLE" in line]


def measure(page: Path, folder: Path, *options: str, width: int = 1100) -> dict[str, Any]:
    """Return sizes and texts of a page's pictures, as laid out.

    The page is copied to `folder` without its policy, which would not let the measuring script run.
    """
    text, count = re.subn(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8")
    )
    assert count == 1
    copy = folder / "measured.html"
    copy.write_text(text.replace("</body>", _MEASURE + "</body>"), "utf-8")
    dom, log = chromium(copy, "--virtual-time-budget=20000", "--dump-dom", *options, width=width)
    assert complaints(log) == []
    found = re.search(rf"<pre>{_BEGIN}([A-Za-z0-9+/=]+){_END}</pre>", dom)
    assert found is not None, dom[-2000:]
    measured: dict[str, Any] = json.loads(base64.b64decode(found[1]).decode("utf-8"))
    return measured
