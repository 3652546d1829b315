"""Tables and explanations of the comparison of recommendation with MIR."""

from __future__ import annotations

from bench.report.controls import ALPHA
from bench.report.format import NONE, number
from bench.report.grid import Cell, Chapter, Grid, Head, Section
from bench.report.mrs_mir import LEAST, Model, Versus
from bench.stats.correlation import EXACT, least_significant, smallest_p


def chapter(comparison: Versus) -> Chapter:
    """Return both tables of a comparison, values and correlations, with an explanation."""
    return Chapter(
        name=f"versus-{comparison.name}",
        title=f"MRS against MIR: {comparison.title}",
        lead=[],
        grids=[_values_grid(comparison), *_relations_grid(comparison)],
        notes=[*_said(comparison), *comparison.notes],
    )


def _values_grid(comparison: Versus) -> Grid:
    axes = [*comparison.mrs, *comparison.mir]
    heads = [Head("Embedding", right=False)]
    heads += [Head(axis.heading, axis.group) for axis in axes]

    def cells(model: Model) -> list[Cell]:
        found = [Cell(model.label)]
        for axis in axes:
            value = axis.values.get(model.key)
            found.append(Cell(number(value, comparison.decimals), value=value))
        return found

    real = [cells(model) for model in comparison.models if not model.control]
    controls = [cells(model) for model in comparison.models if model.control]
    chance = [Cell("chance"), *(Cell(number(axis.chance, comparison.decimals), value=axis.chance) for axis in axes)]
    known = any(axis.chance is not None for axis in axes)
    return Grid(
        "values",
        "Every embedding on both sides",
        heads,
        [Section("", real), Section("Controls", controls), Section("Chance", [chance] if known else [])],
    )


def _relations_grid(comparison: Versus) -> list[Grid]:
    pairs = comparison.pairs
    if not pairs:
        return []
    heads = [
        Head("Recommendation", right=False),
        Head("MIR", right=False),
        Head("n"),
        Head("ρ", "Spearman"),
        Head("95 % interval", "Spearman"),
        Head("p, exact" if all(pair.spearman.exact for pair in pairs) else "p", "Spearman"),
        Head("p, Holm", "Spearman"),
        Head("τ", "Kendall"),
        Head("p", "Kendall"),
    ]
    rows = []
    for pair in pairs:
        r, tau = pair.spearman, pair.kendall
        span = NONE if r.low is None or r.high is None else f"[{r.low:+.2f}, {r.high:+.2f}]"
        rows.append([
            Cell(pair.mrs.name),
            Cell(pair.mir.name),
            Cell(str(r.n), value=r.n),
            Cell(f"{pair.rho:+.3f}", pair.p_holm <= ALPHA, pair.rho),
            Cell(span),
            Cell(number(pair.p, 3), value=pair.p),
            Cell(number(pair.p_holm, 3), value=pair.p_holm),
            Cell(NONE if tau.value is None else f"{tau.value:+.3f}", value=tau.value),
            Cell(number(tau.p, 3), value=tau.p),
        ])  # fmt: skip
    return [
        Grid(
            "correlations",
            "Rank correlation of every recommendation column with every MIR column",
            heads,
            [Section("", rows)],
        )
    ]


def _said(comparison: Versus) -> list[str]:
    """Explain what can and cannot be concluded from so few points."""
    pairs = comparison.pairs
    if not pairs:
        return [
            f"No recommendation column and MIR column have {LEAST} extractors in common: there is nothing to "
            "correlate. Run and probe the same extractor settings."
        ]
    sizes = sorted({pair.spearman.n for pair in pairs})
    said = []
    span = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said.append(
        f"{len(pairs)} pairs of columns over {span} models: each model is one point, and controls are left out. "
        "p: the share of all orders of the models that correlate at least as strongly, two-sided"
        + ("." if sizes[-1] <= EXACT else f" (drawn at random above {EXACT} models).")
    )
    said += [_reach(n) for n in sizes if n <= EXACT]
    held = [pair for pair in pairs if pair.p_holm <= ALPHA]
    if held:
        listed = "; ".join(f"{p.mrs.name} with {p.mir.name} (ρ {p.rho:+.2f})" for p in held[:5])
        said.append(f"After Holm's correction over the {len(pairs)} pairs these hold: {listed}.")
    else:
        said.append(
            f"After Holm's correction over the {len(pairs)} pairs none has p below {ALPHA}: these numbers show "
            "neither that an MIR score predicts recommendation nor that it does not. A wide interval is no "
            "evidence that there is no relation."
        )
    over = {pair.spearman.over for pair in pairs}
    if "users" in over:
        said.append(
            "Intervals over users: how far ρ moves when the listeners are drawn anew, these models and their MIR "
            "values held. They do not say what other models would do."
        )
    if "points" in over:
        said.append(
            "Intervals: models drawn anew, as the values of single users are not known. With so few models they only "
            "show that ρ is uncertain; they do not bound it."
        )
    if comparison.varied:
        said.append(
            f"Settings and layers of one model are no independent points: {', '.join(comparison.varied)} "
            "enters the correlations once, as the mean of its rows."
        )
    return said


def _reach(n: int) -> str:
    """Describe the smallest p value that is possible with `n` models."""
    limit = least_significant(n, "spearman", ALPHA)
    if limit is None:
        return f"With {n} models no order, not even the same one, has p below {ALPHA} (at best {smallest_p(n):.3f})."
    what = "the very same or opposite order (|ρ| = 1)" if limit == 1 else f"|ρ| of at least {limit:.3f}"
    return f"With {n} models, none of them tied, only {what} has p below {ALPHA}, and that before any correction."
