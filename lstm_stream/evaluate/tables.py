"""The figures of an evaluation as text: aligned columns, a line for what matters most first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lstm_stream.coldstart import ColdStart
from lstm_stream.evaluate import ablation, faults, learning, nab, scorer, skab, start
from lstm_stream.replay import counted
from lstm_stream.simulate import KINDS
from lstm_stream.simulate.lasting import CHANGES

RULES = {
    "optimised": "best threshold",
    "left_out": "left out",
    "onset_optimised": "onsets, best",
    "onset_left_out": "onsets, left out",
    "default": "default",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in (head, *rows)
    ]


def number(value: float, digits: int = 1) -> str:
    """`-` for what is not known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def percent(value: float) -> str:
    """A share."""
    return f"{100 * value:.0f}%" if math.isfinite(value) else "-"


def duration(seconds: float) -> str:
    """A delay, short."""
    if not math.isfinite(seconds):
        return "-"
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


# --- NAB


def nab_title(report: nab.Report) -> str:
    """What was scored, and the score that a user gets."""
    windows, results = sum(of.windows for of in report.worth), report.results["default"]["standard"]
    found, false = sum(result.found for result in results), sum(result.false for result in results)
    return (
        f"NAB, {len(report.files)} of {report.listed} streams: at the default threshold {found} of "
        f"{counted(windows, 'window')} found, {counted(false, 'alarm')} outside"
    )


def nab_text(report: nab.Report, verbose: bool) -> str:
    """Profiles by rules, categories by rules, and a line for each file where asked for."""
    by_profile = [
        [profile.name, *(number(report.score(rule, profile)) for rule in RULES)] for profile in scorer.PROFILES
    ]
    standard = scorer.PROFILES[0]
    by_category = [
        [name, *(number(report.score(rule, standard, name)) for rule in RULES)] for name in report.categories
    ]
    lines = [nab_title(report), "", *table(["profile", *RULES.values()], by_profile)]
    lines += ["", *table(["category, standard profile", *RULES.values()], by_category)]
    if verbose:
        lines += ["", "found windows + rows that fire outside them, points of the standard score that the file costs"]
        lines += table(["file", "windows", *RULES.values()], [_nab_row(report, k) for k in range(len(report.files))])
    return "\n".join(lines)


def _nab_row(report: nab.Report, k: int) -> list[str]:
    results = [report.results[rule]["standard"][k] for rule in RULES]
    cells = [f"{result.found}+{result.false}, {result.lost:.2f}" for result in results]
    return [report.files[k].name, str(len(report.files[k].windows)), *cells]


# --- SKAB


def skab_title(report: skab.Report) -> str:
    """The score that a user gets."""
    counts = report.default
    return (
        f"SKAB, {counted(len(report.runs), 'run')}: at the default threshold F1 {counts.f1:.3f}, "
        f"FAR {100 * counts.false_rate:.1f} %, MAR {100 * counts.missed_rate:.1f} %"
    )


def skab_text(report: skab.Report, verbose: bool) -> str:
    """Both thresholds, and a line for each run where asked for."""
    rows = [["default", *_skab_cells(report.default)], [f"best ({report.threshold:.2f})", *_skab_cells(report.best)]]
    lines = [skab_title(report), "", *table(["threshold", "F1", "FAR", "MAR"], rows)]
    if verbose:
        by_run = [
            [run.name, *_skab_cells(default), *_skab_cells(best)]
            for run, (default, best) in zip(report.runs, report.by_run, strict=True)
        ]
        head = ["run", *(f"{name}, {which}" for which in ("default", "best") for name in ("F1", "FAR", "MAR"))]
        lines += ["", *table(head, by_run)]
    return "\n".join(lines)


def _skab_cells(counts: skab.Counts) -> list[str]:
    return [f"{counts.f1:.3f}", f"{100 * counts.false_rate:.1f}%", f"{100 * counts.missed_rate:.1f}%"]


# --- faults


def faults_text(report: faults.Report) -> str:
    """Found, late and false by budget; recall by kinds at the budget nearest to one a week; the budget kept or not."""
    rows = [_budget_row(report, budget) for budget in report.faulty]
    head = ["budget", "found", "worst fault", "median delay", "false/week", "quiet/week", "asked/week"]
    shown = middle(list(report.faulty))
    lines = [*table(head, rows), "", f"found at {shown}, and the median delay"]
    lines += recall_table(report.faulty[shown])
    lines += ["", "false alarms per sensor and week without faults, with 95 % bounds; beside it asked for"]
    return "\n".join(lines + reliability_table(report))


def middle(budgets: Sequence[str]) -> str:
    """The budget nearest to one a week, the default."""
    return min(budgets, key=lambda budget: abs(math.log(faults.per_week(budget))))


def _budget_row(report: faults.Report, budget: str) -> list[str]:
    tally = report.faulty[budget]
    everything = tally.over()
    by_fault = {name: tally.over(faults=[name]) for name in faults.FAULTS}
    known = [name for name, cell in by_fault.items() if cell.injected]
    worst = min(known, key=lambda name: by_fault[name].recall, default="")
    return [
        budget,
        f"{percent(everything.recall)} of {everything.injected}",
        f"{worst} {percent(by_fault[worst].recall)}" if worst else "-",
        duration(everything.delay),
        number(tally.rate.per_week, 2),
        number(report.quiet[budget].rate.per_week, 2),
        number(faults.per_week(budget), 2),
    ]


def recall_table(tally: faults.Tally) -> list[str]:
    """Kinds of faults by kinds of sensors."""

    def cell(kinds: Sequence[str], names: Sequence[str]) -> str:
        found = tally.over(kinds, names)
        return f"{percent(found.recall)} {duration(found.delay)}" if found.injected else "-"

    rows = [[name, *(cell([kind], [name]) for kind in KINDS), cell(tuple(KINDS), [name])] for name in faults.FAULTS]
    rows.append(["all", *(cell([kind], faults.FAULTS) for kind in KINDS), cell(tuple(KINDS), faults.FAULTS)])
    return table(["fault", *KINDS, "all"], rows)


def reliability_table(report: faults.Report) -> list[str]:
    """Kinds of sensors by budgets."""

    def cell(tally: faults.Tally, kind: str | None) -> str:
        rate = tally.rate_of(kind)
        low, high = rate.bounds()
        return f"{number(rate.per_week, 2)} ({number(low, 2)}-{number(high, 2)})"

    rows = [[kind or "all", *(cell(tally, kind) for tally in report.quiet.values())] for kind in (*KINDS, None)]
    categories = dict.fromkeys(name for tally in report.real.values() for name in tally.rates)
    rows += [
        [f"real: {name or 'all'}", *(cell(tally, name) for tally in report.real.values())]
        for name in ((*categories, None) if report.real else ())
    ]
    asked = ["asked", *(number(faults.per_week(budget), 2) for budget in report.quiet)]
    return table(["sensors", *report.quiet], [asked, *rows])


# --- ablation


def ablation_text(report: ablation.Report) -> str:
    """The whole detector, then what is gained or lost without each part.

    Behind ± stands the standard error of a difference, as it varies from stream to stream.
    """
    shown = [name for name, value in report.whole._asdict().items() if math.isfinite(value)]
    columns = [ablation.COLUMNS[name] for name in shown]
    rows = [["the whole detector", *(number(getattr(report.whole, n), ablation.COLUMNS[n].digits) for n in shown)]]
    for row in report.rows:
        cells = [_cell(row, name) for name in shown]
        rows.append([": ".join(filter(None, (f"without {row.part.name}", row.part.without))), *cells])
    return "\n".join([ablation_title(report), "", *table(["", *(column.title for column in columns)], rows)])


def _cell(row: ablation.Row, name: str) -> str:
    """A figure and its difference from the whole, with the standard error where it is known."""
    digits, error = ablation.COLUMNS[name].digits, getattr(row.error, name)
    known = f" ± {number(error, digits)}" if error > 0 else ""
    return f"{number(getattr(row.measures, name), digits)} ({signed(getattr(row.difference, name), digits)}{known})"


def ablation_title(report: ablation.Report) -> str:
    """What was measured on."""
    fleets, data = report.data.fleets, [counted(len(report.data.files), "stream") + " of NAB"] * bool(report.data.files)
    data += [counted(len(report.data.runs), "run") + " of SKAB"] * bool(report.data.runs)
    weeks = 2 * fleets.sensors * fleets.days / 7 * len(fleets.seeds)
    return f"What each part is worth: {', '.join([*data, f'{weeks:,.0f} simulated sensor-weeks'])}"


def signed(value: float, digits: int) -> str:
    """A difference; a plain 0 where nothing shows."""
    text = f"{value:+.{digits}f}" if math.isfinite(value) else "-"
    return "0" if float(text if text != "-" else 1) == 0 else text


# --- learning

CHANGED = {"drift": "a drift that stays", "step": "a step that stays", "fault": "a fault of days, then healthy"}


def learning_title(report: learning.Report) -> str:
    """The promise, and whether it was kept."""
    broken = sum(one.adopted for one in report.outcomes)
    rounds = "no round of learning was" if not broken else counted(broken, "round") + " of learning were"
    return f"{counted(len(report.outcomes), 'lasting change')}: {rounds} begun and adopted while an alarm was open"


def learning_text(report: learning.Report) -> str:
    """A table for each change: kinds of sensors by what became of it."""
    kinds = list(dict.fromkeys(one.kind for one in report.outcomes))
    head = ["found", "delay", "alarm held", "accepted", "after", "begun before", "unnoticed", "alarms/week after"]
    lines = [learning_title(report)]
    for change in CHANGES:
        rows = [_learning_row(kind or "all", report.over(change, kind)) for kind in (*kinds, None)]
        lines += ["", *table([CHANGED[change], *head], rows)]
    return "\n".join(lines)


def _learning_row(name: str, outcomes: Sequence[learning.Outcome]) -> list[str]:
    figures = learning.summary(outcomes)
    return [
        name,
        f"{figures['found']} of {figures['changes']}",
        duration(figures["median_delay"]),
        percent(figures["held"]),
        f"{figures['accepted']} of {figures['changes']}",
        duration(figures["accepted_after"]),
        number(figures["adopted_begun_before"], 0),
        number(figures["adopted_unnoticed"], 0),
        number(figures["alarms_after_per_week"], 2),
    ]


# --- cold start

ALL = "all simulated"


def start_title(report: start.Report) -> str:
    """What was compared, on what."""
    simulated = sum(count for name, count in report.streams.items() if not name.startswith(start.REAL))
    real = sum(report.streams.values()) - simulated
    data = [counted(simulated, "simulated sensor"), *([counted(real, "stream") + " of NAB"] if real else [])]
    return f"Cold start from {report.weights} against random weights: {', '.join(data)}"


def start_text(report: start.Report) -> str:
    """Forecasts of the first samples, then faults and false alarms of the first days."""
    head = [name for first, last in start.SPANS for name in (f"{first}-{last}: last value", *start.STARTS)]
    lines = [start_title(report), "", "mean Huber loss of the forecasts of these samples, beside the last value again"]
    lines += table(["sensors", *head], [[name, *_start_cells(by)] for name, by in start_rows(report)])
    first, second = start.STARTS
    head = [name for what in ("found", "delay", "quiet/week") for name in (f"{what}: {first}", second)]
    days = f"{report.fleets.days:g} days, faults from sample {report.fleets.first} on"
    lines += ["", f"what becomes of faults in the first {days}, and false alarms without faults"]
    kinds = (*report.quiet[first].rates, None)
    return "\n".join([*lines, *table(["sensors", "faults", *head], [_early_row(report, kind) for kind in kinds])])


def start_rows(report: start.Report) -> list[tuple[str, list[list[ColdStart]]]]:
    """Names, and by span the results from each start: simulated kinds, all of them, NAB's categories, all of them."""
    rows = []
    for real in (False, True):
        names = [name for name in report.streams if name.startswith(start.REAL) == real]
        found = [(name, [report.forecasts[one][name] for one in start.STARTS]) for name in names]
        total = ("NAB" if real else ALL, [report.over(one, real) for one in start.STARTS])
        rows += [*found, total] if found else []
    return [(name, [list(span) for span in zip(*by, strict=True)]) for name, by in rows]


def _start_cells(spans: Sequence[Sequence[ColdStart]]) -> list[str]:
    return [number(value, 3) for by in spans for value in (by[0].persistence, *(one.forecast for one in by))]


def _early_row(report: start.Report, kind: str | None) -> list[str]:
    found = [report.faulty[one].over([kind] if kind else tuple(KINDS)) for one in start.STARTS]
    quiet = [number(report.quiet[one].rate_of(kind).per_week, 2) for one in start.STARTS]
    cells = [*(percent(of.recall) for of in found), *(duration(of.delay) for of in found), *quiet]
    return [kind or ALL, str(found[0].injected), *cells]
