"""The report page: chapters of sections as one HTML file that needs nothing else (no script, no font, no picture from elsewhere).

A chapter is what one part of the demo hands back; a section is a title and a piece of HTML made by the functions here and in
``catlearn.teach.figures``. Text is escaped by every one of them; only pictures are passed on as they are.

Laws: a page loads nothing (``external`` of it is empty); text comes back out as it went in; sections keep their order.

>>> chapter = Chapter("Sums", (Section("One", text("1 < 2")),), lead="Small ones.")
>>> html = page("Demo", [chapter])
>>> "1 &lt; 2" in html, external(html)
(True, [])
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any


@dataclass(frozen=True)
class Section:
    """A title, a body (HTML) and a sentence or two before it (plain text)."""

    title: str
    body: str
    note: str = ""


@dataclass(frozen=True)
class Chapter:
    """What one part of the demo hands back: sections for the page, figures for its head, and what went wrong, if anything."""

    title: str
    sections: tuple[Section, ...]
    lead: str = ""
    facts: tuple[tuple[str, str], ...] = ()  # (value, what it is), shown large at the head of the chapter
    failures: tuple[str, ...] = ()


# --- pieces of a body -------------------------------------------------------------------------------------------------


def text(*paragraphs: str) -> str:
    """Plain paragraphs."""
    return "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)


def code(source: str, caption: str = "") -> str:
    """Source text as it is."""
    return figure(f"<pre><code>{escape(source.rstrip())}</code></pre>", caption)


def words(lines: str) -> str:
    """Text whose line breaks and indents count; long lines wrap and hang."""
    rows = []
    for line in lines.rstrip().split("\n"):
        indent = len(line) - len(line.lstrip())
        rows.append(f'<span style="--indent:{indent}">{escape(line.strip())}\n</span>')
    return figure(f'<pre class="words">{"".join(rows)}</pre>')


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """A table; columns whose entries are all numbers are set to the right."""
    rows = [[str(entry) for entry in row] for row in rows]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(head))]

    def line(entries: Sequence[str], tag: str) -> str:
        cells = (f"<{tag}{' class=number' if right[i] else ''}>{escape(entry)}</{tag}>" for i, entry in enumerate(entries))
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return figure(f"<table><thead>{line(head, 'th')}</thead><tbody>\n{body}\n</tbody></table>", caption)


def figure(content: str, caption: str = "") -> str:
    """Ready HTML or SVG, in a frame that scrolls when it is wider than the page."""
    under = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="scroll">{content}</div>{under}</figure>'


def folded(summary: str, content: str) -> str:
    """Content that is long and rarely needed: closed until it is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _is_number(entry: str) -> bool:
    return bool(re.fullmatch(r"[-−+]?[\d.,  ]+\s?[%a-zA-Z]{0,4}|[-–]?", entry.strip()))


# --- the page ---------------------------------------------------------------------------------------------------------


def page(title: str, chapters: Sequence[Chapter], subtitle: str = "") -> str:
    """The chapters as one HTML text."""
    here = files("catlearn.teach")
    return Template(here.joinpath("report.html").read_text("utf-8")).substitute(
        title=escape(title), subtitle=escape(subtitle), style=here.joinpath("report.css").read_text("utf-8"),
        contents="\n".join(_contents(i, chapter) for i, chapter in enumerate(chapters, 1)),
        chapters="\n".join(_chapter(i, chapter) for i, chapter in enumerate(chapters, 1)),
    )  # fmt: skip


def write(path: Path, title: str, chapters: Sequence[Chapter], subtitle: str = "") -> Path:
    """Write the page to ``path``; folders are made, the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    half.write_text(page(title, chapters, subtitle), "utf-8")
    half.replace(path)
    return path


def external(html: str) -> list[str]:
    """The addresses that opening a page would load: empty for a self-contained one. Links to click are not among them."""
    loads = re.findall(r"""<(?!a\b)[^>]*?\s(?:src|href|xlink:href|data|poster)\s*=\s*["']?(?!data:|#)([^"'\s>]+)""", html)
    return loads + re.findall(r"""(?:@import\s+|url\()\s*["']?(?!data:|#)([^"')\s;]+)""", html)


def _contents(number: int, chapter: Chapter) -> str:
    items = "".join(f'<li><a href="#{_anchor(number, i)}">{escape(s.title)}</a></li>' for i, s in enumerate(chapter.sections, 1))
    return f'<li><a href="#{_anchor(number)}">{escape(chapter.title)}</a><ol>{items}</ol></li>'


def _chapter(number: int, chapter: Chapter) -> str:
    facts = "".join(f"<div><dd>{escape(value)}</dd><dt>{escape(what)}</dt></div>" for value, what in chapter.facts)
    failures = "".join(f'<p class="failure">{escape(failure)}</p>' for failure in chapter.failures)
    parts = [f'<article id="{_anchor(number)}"><h2>{escape(chapter.title)}</h2>', failures]
    parts += [f'<p class="lead">{escape(chapter.lead)}</p>'] if chapter.lead else []
    parts += [f"<dl class='facts'>{facts}</dl>"] if facts else []
    for i, section in enumerate(chapter.sections, 1):
        note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
        parts.append(f'<section id="{_anchor(number, i)}"><h3>{escape(section.title)}</h3>{note}\n{section.body}</section>')
    return "\n".join([*parts, "</article>"])


def _anchor(*numbers: int) -> str:
    return "part-" + "-".join(map(str, numbers))
