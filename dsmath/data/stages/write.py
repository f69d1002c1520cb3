"""The last stage: the examples that stay, as an ArrayRecord file per shard, and an account of all that was read.

A record is an `Example` in JSON.
"""

import collections
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter

from dsmath import storage
from dsmath.data.stages.shards import Record
from dsmath.error import UserError
from dsmath.records import Example

OPTIONS = "group_size:1"  # each record can be read alone
SAMPLES = 3  # of what was dropped, by reason
SHOWN = 200  # characters of a sample

Count = Callable[[Example], int]  # the tokens of an example


def write(examples: Iterable[Example], path: Path) -> None:
    """Write examples, whole or not at all. Raises UserError if the disk doesn't take them."""
    try:
        with storage.whole_file(path) as local:
            writer = ArrayRecordWriter(str(local), OPTIONS)
            for example in examples:
                writer.write(json.dumps(example.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace"))
            writer.close()
    except RuntimeError as e:  # array_record's own: "write() failed: No space left on device; writing ..."
        if "write() failed" not in str(e):
            raise
        why = str(e).partition("write() failed: ")[2].partition(";")[0]
        raise UserError(f"cannot write {path}: {why}; free some space or choose another place") from e


class Account:
    """What became of rows and examples. Only which samples are shown depends on the order of sums."""

    def __init__(self) -> None:
        self.rows = 0
        self.skipped: collections.Counter[str] = collections.Counter()  # rows, by reason
        self.modes: dict[str, collections.Counter[str]] = {}  # read, verified, kept, tokens, no_gold
        self.dropped: dict[str, collections.Counter[str]] = {}  # by mode and reason
        self.kept_by = {name: collections.Counter[str]() for name in ("lang", "topic")}
        self.samples: dict[str, list[Record]] = {}  # by reason
        self.lost: list[Record] = []  # what was dropped, to be looked at; not in JSON

    def raw(self, records: Iterable[Record]) -> None:
        """Count rows."""
        for record in records:
            self.rows += 1
            if "dropped" in record:
                self.lost.append(record)
                self.skipped[record["dropped"]] += 1
                self._sample(record["dropped"], {"row": record["row"]})

    def examples(
        self,
        verified: Iterable[Record],
        contaminated: Mapping[str, Record],
        fates: Iterator[str],
        count: Count | None,
    ) -> Iterator[Example]:
        """Count examples, and give those that stay. `fates` says of each that holds no part of a benchmark why it is
        dropped, "" if it isn't.
        """
        for record in verified:
            mode = self.modes.setdefault(record["mode"], collections.Counter())
            mode["read"] += 1
            if "example" not in record:
                self._drop(record, record["dropped"], str(record.get("draft", record).get("question")))
                continue
            mode["verified"] += 1
            mode["no_gold"] += not record["gold"]
            example = Example.from_json(record["example"])
            if found := contaminated.get(example.id):
                match = f"{found['match']['problem']}: {found['match']['text']}"
                self._drop(record | found, found["dropped"], example.question, match)
            elif reason := next(fates):
                self._drop(record, reason, example.question)
            else:
                mode["kept"] += 1
                mode["tokens"] += count(example) if count is not None else 0
                self.kept_by["lang"][example.lang] += 1
                self.kept_by["topic"][example.topic] += 1
                yield example

    def add(self, other: "Account") -> None:
        """Add another account to this one."""
        self.rows += other.rows
        self.skipped.update(other.skipped)
        for mine, theirs in ((self.modes, other.modes), (self.dropped, other.dropped), (self.kept_by, other.kept_by)):
            for key, counts in theirs.items():
                mine.setdefault(key, collections.Counter()).update(counts)
        for reason, samples in other.samples.items():
            for sample in samples:
                self._sample(reason, sample)

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` is the inverse."""
        return {name: value for name, value in vars(self).items() if name != "lost"}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Account":
        """The account that `to_json` gave."""
        account = cls()
        account.rows, account.samples = values["rows"], values["samples"]
        account.skipped.update(values["skipped"])
        for name in ("modes", "dropped", "kept_by"):
            vars(account)[name] = {key: collections.Counter(counts) for key, counts in values[name].items()}
        return account

    def _drop(self, record: Record, reason: str, question: str, match: str = "") -> None:
        self.lost.append(record | {"dropped": reason})
        self.dropped.setdefault(record["mode"], collections.Counter())[reason] += 1
        self._sample(reason, {"row": record["row"], "question": question[:SHOWN], "match": match})

    def _sample(self, reason: str, sample: Record) -> None:
        samples = self.samples.setdefault(reason, [])
        if len(samples) < SAMPLES and all(sample["row"] != other["row"] for other in samples):
            samples.append(sample)


def read(path: Path) -> Account:
    """The account in a file."""
    return Account.from_json(json.loads(path.read_text("utf-8")))
