"""From a stack of layers to a target, or to every fault that is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from pydantic import ValidationError

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.target import Core, CoreKind, Machine, Network, Target, Tile
from neutrams.targets import checks
from neutrams.targets.faults import missing_table, translate, unknown_key
from neutrams.targets.layers import Stack, Tree
from neutrams.targets.resolve import Resolver, by_widths, limits_of
from neutrams.targets.schema import (
    SECTIONS,
    ChipSection,
    CoreSection,
    CostSection,
    Head,
    KindSection,
    LimitsSection,
    NetworkSection,
    Strict,
    TileSection,
)

Section = TypeVar("Section", bound=Strict)


def build(
    stack: Stack,
    *,
    name: str,
    file: str,
    faults: list[Diagnostic],
    warn: Callable[[Diagnostic], None],
) -> Target:
    """Check the merged layers and make the target of them.

    ``name`` serves where ``file`` states none; ``faults`` are those already found.

    Raises:
        NeutramsError: with every independent fault.
    """
    faults = [*faults, *_unknown_tables(stack)]
    head = _head(stack, name, faults)
    sections = _sections(stack, faults)
    faults += _contradictions(sections, stack)
    kinds = _kinds(sections, stack, faults)
    costs = _costs(stack, faults)
    resolver = Resolver(stack, sections)
    parts = tuple(resolver.component(label, section) for label, section in costs.items())
    smaller = tuple(resolver.kind(label, kind, costs) for label, kind in kinds.items())
    faults += [*resolver.faults, *checks.component_faults(parts, stack)]
    if faults:
        raise NeutramsError(*faults)
    for doubt in checks.doubts(parts, stack):
        warn(doubt)
    return Target(
        name=head.name,
        description=head.description,
        limits=limits_of(_get(sections, LimitsSection), _get(sections, CoreSection)),
        machine=_machine(sections, smaller),
        costs=parts,
        source=file,
    )


def _unknown_tables(stack: Stack) -> list[Diagnostic]:
    known = {*Head.model_fields, "inherits", *SECTIONS, "cores", "costs"}
    return [unknown_key((key,), stack) for key in stack.tree if key not in known]


def _head(stack: Stack, name: str, faults: list[Diagnostic]) -> Head:
    given = {key: stack.tree[key] for key in Head.model_fields if key in stack.tree}
    try:
        return Head.model_validate({"name": name, **given})
    except ValidationError as found:
        faults += translate(found, stack, ())
        return Head(name="unnamed")


def _sections(stack: Stack, faults: list[Diagnostic]) -> dict[str, Strict]:
    """Return the sections that are valid by themselves."""
    valid: dict[str, Strict] = {}
    for section, model in SECTIONS.items():
        if section not in stack.tree:
            faults.append(missing_table((section,), stack))
            continue
        try:
            valid[section] = model.model_validate(stack.tree[section])
        except ValidationError as found:
            faults += translate(found, stack, (section,))
    return valid


def _contradictions(sections: dict[str, Strict], stack: Stack) -> list[Diagnostic]:
    faults: list[Diagnostic] = []
    core, limits = sections.get("core"), sections.get("limits")
    if isinstance(core, CoreSection):
        faults += checks.core_faults(core, stack)
    if isinstance(core, CoreSection) and isinstance(limits, LimitsSection):
        faults += checks.limit_faults(limits, core, stack)
    chip, network = sections.get("chip"), sections.get("network")
    if isinstance(chip, ChipSection) and isinstance(network, NetworkSection):
        faults += checks.chip_faults(chip, network, stack)
    return faults


def _kinds(
    sections: dict[str, Strict], stack: Stack, faults: list[Diagnostic]
) -> dict[str, KindSection]:
    """Return the further kinds of core that are valid, by name."""
    tables = stack.tree.get("cores", {})
    if not isinstance(tables, dict):
        wrong = error("NT0304", "`cores` must be a table of kinds of core, not a value")
        faults.append(wrong.at(stack.where(("cores",))))
        return {}
    valid: dict[str, KindSection] = {}
    core, limits = sections.get("core"), sections.get("limits")
    for name, table in cast(Tree, tables).items():
        try:
            valid[name] = KindSection.model_validate(table)
        except ValidationError as found:
            faults += translate(found, stack, ("cores", name))
            continue
        if isinstance(core, CoreSection) and isinstance(limits, LimitsSection):
            faults += checks.kind_faults(name, valid[name], core, limits, stack)
    return valid


def _costs(stack: Stack, faults: list[Diagnostic]) -> dict[str, CostSection]:
    tables = stack.tree.get("costs")
    if not isinstance(tables, dict):
        wrong = error("NT0304", "`costs` must be a table of components, not a value")
        wrong = wrong.at(stack.where(("costs",)))
        faults.append(missing_table(("costs",), stack) if tables is None else wrong)
        return {}
    valid: dict[str, CostSection] = {}
    for name, table in cast(Tree, tables).items():
        try:
            valid[name] = CostSection.model_validate(table)
        except ValidationError as found:
            faults += translate(found, stack, ("costs", name))
        else:
            faults += checks.cost_faults(name, valid[name], stack)
    return valid


def _get(sections: dict[str, Strict], kind: type[Section]) -> Section:
    return next(section for section in sections.values() if isinstance(section, kind))


def _machine(sections: dict[str, Strict], smaller: tuple[CoreKind, ...]) -> Machine:
    return Machine(
        core=_core(_get(sections, CoreSection)),
        tile=Tile(**_get(sections, TileSection).model_dump()),
        network=Network(**_get(sections, NetworkSection).model_dump()),
        **_get(sections, ChipSection).model_dump(),
        smaller=smaller,
    )


def _core(section: CoreSection) -> Core:
    return Core(**{**section.model_dump(), "read_ns": by_widths(section.read_ns, section)})
