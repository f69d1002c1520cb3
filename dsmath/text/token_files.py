"""What lies beside a tokenizer file in an HF folder: names of tokens, added ones, what ends a text."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsmath.error import UserError

FINGERPRINT_CHARACTERS = 12

CONFIG = "tokenizer_config.json"
_GENERATION = "generation_config.json"
_NAMED = tuple(f"{role}_token" for role in ("bos", "eos", "unk", "pad", "sep", "cls", "mask"))


@dataclasses.dataclass(frozen=True)
class Added:
    """A token that stands for itself, whatever the vocabulary says of its name."""

    name: str
    id: int
    special: bool = True  # it is no text: decoding leaves it out
    lstrip: bool = False  # in a rendered text it takes the white space before it
    rstrip: bool = False  # and behind it


@dataclasses.dataclass(frozen=True)
class Beside:
    """What the files beside a tokenizer say. None and "" where they don't."""

    kind: str = ""  # tokenizer_class
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # by role: "bos_token", "eos_token", ...
    adds_bos: bool | None = None  # add_bos_token; which kinds do so where nothing says is theirs to know
    legacy: bool | None = None  # of Llama's tokenizers: a space behind every special token, too
    prefix: bool | None = None  # add_prefix_space
    added: tuple[Added, ...] = ()
    ends: tuple[int, ...] = ()  # ids that end a generation

    def config(self) -> dict[str, Any]:
        """A tokenizer_config.json that says the same."""
        said = {"tokenizer_class": self.kind or None, "legacy": self.legacy, "add_prefix_space": self.prefix}
        said |= {"add_bos_token": self.adds_bos}
        added = {str(token.id): _record(token) for token in self.added}
        return {
            **self.names,
            **{key: value for key, value in said.items() if value is not None},
            **({"added_tokens_decoder": added} if added else {}),
        }


def read(folder: Path) -> Beside:
    """What the files of a folder say. Raises UserError for one that is not JSON, or not of this kind."""
    config, names = read_json(folder / CONFIG), read_json(folder / "special_tokens_map.json")
    named = {role: name for role in _NAMED if (name := _name(config.get(role) or names.get(role)))}
    special = {*named.values(), *_extra(config), *_extra(names)}
    numbers = read_json(folder / "added_tokens.json")
    added = {id: Added(name, id, special=name in special) for name, id in numbers.items()}
    for id, said in (config.get("added_tokens_decoder") or {}).items():
        if isinstance(said, str):
            added[int(id)] = Added(said, int(id), special=said in special)
        else:
            flags = {flag: bool(said.get(flag)) for flag in ("special", "lstrip", "rstrip")}
            added[int(id)] = Added(said["content"], int(id), **flags)
    return Beside(
        kind=config.get("tokenizer_class") or "",
        names=named,
        adds_bos=config.get("add_bos_token"),
        legacy=config.get("legacy"),
        prefix=config.get("add_prefix_space"),
        added=tuple(added[id] for id in sorted(added)),
        ends=_ends(folder),
    )


def write_ends(folder: Path, ends: tuple[int, ...]) -> None:
    """Have `read` find several ends; of one alone the tokenizer knows."""
    if len(ends) > 1:
        (folder / _GENERATION).write_text(json.dumps({"eos_token_id": list(ends)}, indent=1), encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, an empty one where there is no file. Raises UserError if it is no object."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise UserError(f"cannot read {path}: {e}; the file is torn or not JSON: copy it again") from e
    if not isinstance(found, dict):
        raise UserError(f"cannot read {path}: it holds a {type(found).__name__}; expected a JSON object")
    return found


def digest(content: bytes) -> str:
    """A short name of what decides on ids and texts."""
    return hashlib.sha256(content).hexdigest()[:FINGERPRINT_CHARACTERS]


def _ends(folder: Path) -> tuple[int, ...]:
    """Of generation_config.json, else of the model's config.json."""
    for name in (_GENERATION, "config.json"):
        found = read_json(folder / name).get("eos_token_id")
        if found is not None:
            return tuple(found) if isinstance(found, list) else (found,)
    return ()


def _extra(config: Mapping[str, Any]) -> list[str]:
    found = config.get("additional_special_tokens") or []
    return [name for one in found if (name := _name(one))]


def _name(value: Any) -> str | None:
    """A token as the files write it: a string, or an AddedToken record."""
    return value.get("content") if isinstance(value, dict) else value


def _record(token: Added) -> dict[str, Any]:
    flags = {"special": token.special, "lstrip": token.lstrip, "rstrip": token.rstrip}
    return {"content": token.name, **flags, "normalized": False, "single_word": False}
