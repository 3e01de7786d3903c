#!/usr/bin/env python3
"""Write the reference pages from the code that they are about; a test fails when one is stale.

    .venv/bin/python tools/references.py

Tables are shared by both languages; headings, and the words around them in ``references.toml``, are not. The English
reference of the commands is another generator's matter; the Chinese one lists them and leads there.
"""

from __future__ import annotations

import inspect
import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from dashscribe.catalog import MODELS, Model
from dashscribe.config import Settings
from dashscribe.errors import DashscribeError
from dashscribe.errors.sources import SourceError
from dashscribe.wire.params import TABLE, Parameter

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"
STAMP = "<!-- Written by tools/references.py; do not edit. -->"
EN, ZH = 0, 1
WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; bars inside cells are escaped."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(text: object) -> str:
    """As code; nothing stays nothing."""
    return f"`{text}`" if text not in ("", None) else ""


def sentence(thing: type) -> str:
    """The first paragraph of a docstring, for a page: code in single ticks."""
    text = (inspect.getdoc(thing) or "").split("\n\n")[0]
    return " ".join(text.split()).replace("``", "`")


def words(page: str, language: int) -> list[str]:
    """What stands around the tables of a page: one text, or two."""
    return [f"{text.strip()}\n\n" for text in WORDS[page][("en", "zh")[language]]]


# --- parameters -----------------------------------------------------------------------------------------------------


def parameters(language: int) -> str:
    """Every member of ``parameters``, with what takes it, its effect and the service's page."""
    head = (
        ("Name", "Type", "Default", "What it says", "Effect here", "Interface", "Source"),
        ("名称", "类型", "默认值", "含义", "在本服务上的效果", "接口", "出处"),
    )[language]
    rows = (
        (
            code(row.name),
            _type(row.schema),
            _default(row),
            row.summary,
            _effect(row),
            _interfaces(row, language),
            row.source,
        )
        for row in TABLE
    )
    text, by_model = words("parameters", language)
    head_models = (("Model", "Parameters"), ("模型", "参数"))[language]
    taken = ((code(m.name), " ".join(code(name) for name in sorted(m.parameters))) for m in MODELS.values())
    return text + table(head, rows) + "\n" + by_model + table(head_models, taken)


def _type(schema: Any) -> str:
    kinds = [part["type"] for part in schema.get("anyOf", [schema])]
    if kinds == ["array"]:
        kinds = [f"array of {schema['items']['type']}s"]
    bounds = [f"{schema[name]}" for name in ("minimum", "maximum") if name in schema]
    told = " or ".join(kinds) + (f", {' to '.join(bounds)}" if bounds else "")
    return told + (f", one of {', '.join(map(code, schema['enum']))}" if "enum" in schema else "")


def _default(row: Parameter) -> str:
    default = row.schema.get("default", row.default)
    return code(json.dumps(default)) if default is not None else ""


def _effect(row: Parameter) -> str:
    if row.lack:
        return f"none: {row.lack}"
    place = {"lists": "hotwords are copied into the task, from a list", "incremental": "how a stream is told"}.get(
        row.asks, ""
    )
    return place or f"option {code(row.option)}"


def _interfaces(row: Parameter, language: int) -> str:
    kinds = sorted({model.interface for model in MODELS.values() if row.name in model.parameters})
    return ", ".join({"async": ("task", "任务"), "sync": ("call", "同步调用")}[kind][language] for kind in kinds)


# --- models ---------------------------------------------------------------------------------------------------------


def models(language: int) -> str:
    """Every public name, with its limits."""
    head = (
        ("Name", "Interface", "Recognizes", "Length", "Size", "Sample rate", "Hotwords", "Retired", "Own weights"),
        ("名称", "接口", "识别的语言", "时长", "大小", "采样率", "热词数", "下线日期", "自家权重"),
    )[language]
    (text,) = words("models", language)
    rows = (
        (
            code(m.name) + (f" = {code(m.alias_of)}" if m.alias_of else ""),
            ("task", "任务")[language] + f", `{m.input_key}`"
            if m.interface == "async"
            else ("call", "同步调用")[language],
            " ".join(m.coverage) or "any",
            _length(m),
            f"{m.max_bytes // 1024**2} MB",
            _rate(m),
            str(m.max_hotwords or ""),
            f"{m.retired} → {code(m.successor)}" if m.retired else "",
            code(m.own_kind),
        )
        for m in MODELS.values()
    )
    return text + table(head, rows)


def _length(model: Model) -> str:
    minutes = model.max_duration_ms // 60_000
    return f"{minutes // 60} h" if minutes >= 60 else f"{minutes} min" if minutes else ""


def _rate(model: Model) -> str:
    if model.max_rate_hz:
        return f"up to {model.max_rate_hz} Hz"
    return f"from {model.min_rate_hz} Hz" if model.min_rate_hz else "any"


# --- errors ---------------------------------------------------------------------------------------------------------


def errors(language: int) -> str:
    """One row per way to fail."""
    head = (
        ("Code", "Status", "Message begins with", "When", "Retry"),
        ("错误码", "状态码", "消息开头", "何时出现", "可重试"),
    )[language]
    source_head = (
        ("`file_urls` names", "filetrans", "`sensevoice-v1`", "Synchronous call: message", "When"),
        ("`file_urls` 系列", "filetrans", "`sensevoice-v1`", "同步调用的消息", "何时出现"),
    )[language]
    text, second = words("errors", language)
    yes = ("yes", "是")[language]
    return (
        text
        + table(
            head,
            ((code(e.code), str(e.status), code(e.text), sentence(e), yes if e.retryable else "") for e in _requests()),
        )
        + "\n"
        + second
        + table(
            source_head,
            (
                (
                    code(e.code),
                    code(e("").code_for("file_url")),
                    code(e("").code_for("sensevoice")),
                    code(e.sync_text),
                    sentence(e),
                )
                for e in _below(SourceError)
                if e.__name__ != "RefusedSourceError"
            ),
        )
    )


def _below(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _below(kind)


def _requests() -> Iterator[type[DashscribeError]]:
    """What a client can be told; errors that stay inside have the base's code and status."""
    for kind in _below(DashscribeError):
        told = (kind.code, kind.status) != (DashscribeError.code, DashscribeError.status)
        if told and kind.__module__.startswith("dashscribe.errors") and not issubclass(kind, SourceError):
            yield kind


# --- settings -------------------------------------------------------------------------------------------------------


def settings(language: int) -> str:
    """Every setting with its default."""
    head = (("Variable", "Default", "What it says"), ("环境变量", "默认值", "含义"))[language]
    (text,) = words("settings", language)
    rows = (
        (code(f"DASHSCRIBE_{name.upper()}"), _setting_default(name, field), _choices(field) + (field.description or ""))
        for name, field in Settings.model_fields.items()
    )
    return text + table(head, rows)


def _setting_default(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return {"home": "the platform's data folder", "workers": "cores"}[name]
    return code(field.default) if field.default not in ("", None) else ""


def _choices(field: FieldInfo) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    return f"{', '.join(map(code, choices))}. " if choices else ""


# --- HTTP -----------------------------------------------------------------------------------------------------------


def http_api(language: int) -> str:
    """Every operation of the OpenAPI document."""
    head = (("Call", "What it does", "Answers"), ("调用", "作用", "应答状态码"))[language]
    (text,) = words("http-api", language)
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for path, operations in _document()["paths"].items():
        for method, operation in operations.items():
            group = (operation.get("tags") or ["server"])[0]
            answers = " ".join(sorted(operation["responses"]))
            told = operation.get("summary", "")
            groups.setdefault(group, []).append((code(f"{method.upper()} {path}"), told, answers))
    return text.rstrip("\n") + "\n" + "".join(f"\n## {group}\n\n{table(head, rows)}" for group, rows in groups.items())


def _document() -> dict[str, Any]:
    """The OpenAPI document, of an application that never starts: its parts are not touched before that."""
    from tempfile import TemporaryDirectory

    from dashscribe.db import open_database
    from dashscribe.hosts import Hosts
    from dashscribe.store import open_store
    from dashscribe.wire.app import Parts, create_app

    with TemporaryDirectory(prefix="dashscribe-openapi-") as home:
        chosen = Settings(home=Path(home), engine="standin")
        database = open_database(chosen.resolved_database_url)
        hosts = Hosts(chosen, slots=1, express_slots=1)
        nothing: dict[str, Any] = {"secret": "only for the document", "wake": lambda: None, "ready": dict}
        parts = Parts.over(chosen, database, open_store(chosen), hosts, **nothing)
        try:
            return create_app(parts).openapi()
        finally:
            hosts.close()
            database.dispose()


# --- commands -------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command in Chinese, with the way to its help. Raises KeyError for one that nobody has put into Chinese."""
    from dashscribe.cli import COMMANDS, load

    told = WORDS["commands"]["about"]
    rows: list[tuple[str, str, str]] = []

    def add(command: Any, path: str) -> None:
        rows.append(
            (code(path), told[path.removeprefix("dashscribe ")], f"[英文](commands.md#{path.replace(' ', '-')})")
        )
        for name, inner in getattr(command, "commands", {}).items():
            add(inner, f"{path} {name}")

    for name in COMMANDS:
        add(load(name), f"dashscribe {name}")
    (text,) = words("commands", ZH)
    return text + table(("命令", "作用", "选项与示例"), rows)


PAGES: dict[str, Callable[[int], str]] = {
    "parameters": parameters,
    "models": models,
    "errors": errors,
    "settings": settings,
    "http-api": http_api,
}


def rendered() -> Iterator[tuple[str, str]]:
    """File name and text of each page, in both languages."""
    for name, page in PAGES.items():
        for language, suffix, other in ((EN, "", f"[中文]({name}.zh.md)"), (ZH, ".zh", f"[English]({name}.md)")):
            yield f"{name}{suffix}.md", f"{other}\n\n{STAMP}\n\n{page(language)}"
    yield "commands.zh.md", f"[English](commands.md)\n\n{STAMP}\n\n{commands()}"


def main() -> int:
    """Write them all."""
    DOCS.mkdir(exist_ok=True)
    for name, text in rendered():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
