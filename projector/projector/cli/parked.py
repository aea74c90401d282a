"""`projector parked`: look at events that wait because one before them could not be applied, and let them go on."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from projector import pod, standalone
from projector.cli import options
from projector.cli.endings import ending
from projector.fold.compile import compile_definition
from projector.fold.program import Program
from projector.parked import replayed, shown
from projector.ports import BadRow
from projector.registry import Identity, ParkedKey, ParkedRecord, RegistryError, Waiting
from projector.spec.definition import Definition
from projector.spec.load import load_file
from projector.stores.postgres import PostgresParking, PostgresRegistry

Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Place:
    """Which projection, and the target that its registry is in. `schemas` is the schema registry's URL, if told."""

    identity: Identity
    uri: str
    schemas: str | None

    @contextmanager
    def parking(self) -> Iterator[PostgresParking]:
        """A session for the parked events."""
        parking = PostgresParking(self.uri)
        try:
            yield parking
        finally:
            parking.close()

    def program(self, build: int) -> Program:
        """What folds the events of a build."""
        definition = self._definition(build)
        schemas, credentials = pod.registry_settings(os.environ)
        return compile_definition(definition, pod.decoder(definition.format, self.schemas or schemas, credentials))

    def _definition(self, build: int) -> Definition:
        registry = PostgresRegistry(self.uri, self.identity.installation)
        try:
            view = registry.observe(self.identity)
        finally:
            registry.close()
        found = [one.definition for one in (view.builds if view else ()) if one.number == build]
        if not found:
            raise RegistryError(f"build {build} is not there any more")
        return found[0]


_SHARED = (
    click.option("-f", "--file", "path", type=click.Path(path_type=Path), help="YAML file with the Projection."),
    click.option("--namespace", default="default", show_default=True, help="Instead of a file: where it is."),
    click.option("--name", help="Instead of a file: the Projection's name."),
    click.option("--installation", default=standalone.INSTALLATION, show_default=True, help="uid of kube-system."),
    options.target,
    click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."),
)
_KEY = (
    click.option("--key", "text", required=True, metavar="JSON", help='As `list` prints it, such as ["o-1"].'),
    click.option("--build", type=int, help="Number of the build, where several have the key parked."),
)


def _with(*added: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(added):
            command = option(command)
        return command

    return decorate


def _place(path: Path | None, namespace: str, name: str | None, installation: str, target_uri: str | None) -> Place:
    schemas = None
    if path is not None:
        name, namespace, spec = load_file(path)
        schemas = None if spec.source.kafka.schema_registry is None else spec.source.kafka.schema_registry.url
    if not name:
        raise pod.BadSettings("give the Projection by -f FILE or by --name")
    return Place(Identity(installation, namespace, name), options.required(target_uri), schemas)


@contextmanager
def _opened(**where: Any) -> Iterator[tuple[Place, PostgresParking]]:
    """The projection that a person means, and a session for its parked events; faults end the command, in words."""
    with ending(None):
        place = _place(**where)
        with place.parking() as parking:
            yield place, parking


@click.group()
def parked() -> None:
    """Events that wait because one of their row's events could not be applied."""


@parked.command("list")
@_with(*_SHARED)
def list_keys(output: str, **where: Any) -> None:
    """Show the parked keys: how many events wait, since when, and why."""
    with _opened(**where) as (place, parking):
        keys = parking.keys(place.identity)
        if output == "json":
            _print_json([_key_data(key) for key in keys])
        elif not keys:
            click.echo("nothing is parked")
        else:
            _print_table(keys)


@parked.command()
@_with(*_SHARED, *_KEY)
def show(output: str, text: str, build: int | None, **where: Any) -> None:
    """Show all events of a parked key, in order, as they are in the log."""
    with _opened(**where) as (place, parking):
        waiting = _waiting(parking, place.identity, text, build)
        records = [_record_data(record) for record in waiting.records]
        if output == "json":
            _print_json({**_key_data(waiting.parked), "records": records})
        else:
            for record in records:
                _print_record(waiting, record)


@parked.command()
@_with(*_SHARED, *_KEY)
def replay(output: str, text: str, build: int | None, **where: Any) -> None:
    """Apply the events of a parked key in order, as far as they can be applied; the rest stays parked."""
    with _opened(**where) as (place, parking):
        waiting = _waiting(parking, place.identity, text, build)
        delta, staying = replayed(place.program(waiting.parked.build), waiting)
        if staying and staying[0][0] == waiting.records[0].at_offset:
            raise RegistryError(f"offset {staying[0][0]} still cannot be applied: {staying[0][1]}")
        try:
            parking.replay(waiting, delta, staying)
        except BadRow as error:
            raise RegistryError(f"the row does not fit, nothing was changed: {error}") from None
        _say_rest(output, waiting, "applied", staying)


@parked.command()
@_with(*_SHARED, *_KEY)
@click.option("--offset", "offsets", type=click.IntRange(0), multiple=True, help="Only this event; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="All events of the key.")
@click.option("--reason", required=True, help="Why they may be passed over; kept for ever.")
def discard(
    output: str,
    text: str,
    build: int | None,
    offsets: Sequence[int],
    everything: bool,
    reason: str,
    **where: Any,
) -> None:
    """Pass over events of a parked key, in this build and all later ones. What remains can then be replayed."""
    with _opened(**where) as (place, parking):
        if bool(offsets) == everything:
            raise pod.BadSettings("say which events: either --offset, once for each, or --all")
        if not reason.strip():
            raise pod.BadSettings("--reason is empty; it is all that later readers will know")
        waiting = _waiting(parking, place.identity, text, build)
        there = {record.at_offset: record.reason for record in waiting.records}
        unknown = [str(offset) for offset in offsets if offset not in there]
        if unknown:
            raise pod.BadSettings(f"--offset {', '.join(unknown)}: no such event is parked under key {text}")
        gone = set(there) if everything else set(offsets)
        parking.discard(waiting, gone, reason)
        _say_rest(output, waiting, "discarded", [item for item in there.items() if item[0] not in gone])


def _waiting(parking: PostgresParking, identity: Identity, text: str, build: int | None) -> Waiting:
    """The events of the key that a person means."""
    wanted = _canonical(text)
    found = [key for key in parking.keys(identity) if key.text == wanted and build in (None, key.build)]
    if not found:
        raise pod.BadSettings(f"--key {text}: it is not parked; see `projector parked list`")
    if len({key.build for key in found}) > 1:
        numbers = ", ".join(str(key.build) for key in found)
        raise pod.BadSettings(f"--key {text}: builds {numbers} have it parked; say which by --build")
    return parking.read(found[0])


def _canonical(text: str) -> str:
    try:
        values = json.loads(text)
    except ValueError:
        raise pod.BadSettings(f"""--key {text}: it must be a JSON array, in the shell such as '["o-1"]'""") from None
    return json.dumps(values, separators=(",", ":"), ensure_ascii=not text.isprintable())


def _key_data(key: ParkedKey) -> Mapping[str, Any]:
    return {
        "key": json.loads(key.text),
        "build": key.build,
        "topic": key.partition.topic,
        "partition": key.partition.number,
        "firstOffset": key.first_offset,
        "events": key.events,
        "since": key.since.isoformat(timespec="seconds"),
        "reason": key.reason,
    }


def _record_data(record: ParkedRecord) -> Mapping[str, Any]:
    kind, milliseconds = record.of_time
    return {
        "offset": record.at_offset,
        "reason": record.reason,
        "parkedAt": record.parked_at.isoformat(timespec="seconds"),
        "timestampMs": milliseconds if kind else None,
        "key": shown(record.key_bytes),
        "headers": [[name, shown(content)] for name, content in record.header_list],
        "value": shown(record.value_bytes),
    }


def _print_table(keys: Sequence[ParkedKey]) -> None:
    rows = [("KEY", "BUILD", "PARTITION", "OFFSET", "EVENTS", "SINCE", "REASON")]
    for key in keys:
        partition = f"{key.partition.topic}/{key.partition.number}"
        since = key.since.isoformat(timespec="seconds")
        rows.append((key.text, str(key.build), partition, str(key.first_offset), str(key.events), since, key.reason))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _print_record(waiting: Waiting, record: Mapping[str, Any]) -> None:
    partition = waiting.parked.partition
    why = record["reason"] or "waits behind the one before"
    click.echo(f"{partition.topic}/{partition.number} offset {record['offset']}: {why}")
    for name, content in record["headers"]:
        click.echo(f"  header {name}: {content}")
    click.echo(f"  key: {record['key']}")
    click.echo(f"  value: {record['value']}")


def _say_rest(output: str, waiting: Waiting, done: str, staying: Sequence[tuple[int, str]]) -> None:
    gone = len(waiting.records) - len(staying)
    if output == "json":
        _print_json({"key": json.loads(waiting.parked.text), done: gone, "staying": [offset for offset, _ in staying]})
        return
    click.echo(f"{gone} of {len(waiting.records)} events of key {waiting.parked.text} {done}")
    if staying:
        why = f": {staying[0][1]}" if staying[0][1] else "; replay them"
        click.echo(f"{len(staying)} stay parked, the first at offset {staying[0][0]}{why}")


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
