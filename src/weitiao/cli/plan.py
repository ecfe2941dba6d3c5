"""``weitiao plan``: memory and time before the first step, and every setting that would be used, with its reason."""

from __future__ import annotations

from weitiao.cli.output import output
from weitiao.cli.own_flags import refuse_comparison
from weitiao.process import importing
from weitiao.words import t


def describe() -> str:
    """The help text."""
    return t(
        "Says what a run would take, memory and time, and which value every setting that you left open would get and "
        "why. It takes the same arguments as weitiao train, and trains nothing.\n"
        "\n"
        "  weitiao plan --model smollm2-135m-instruct --data sms-spam"
    )


def command(arguments: list[str]) -> None:
    """Show the plan."""
    from weitiao.settings import comparison_names, parse_settings

    parsed = parse_settings(arguments)
    refuse_comparison(parsed.given, "plan")
    from weitiao.cli.train import announce
    from weitiao.cli.watch import watching

    announce(parsed)
    with importing():
        from weitiao.api.plan import plan

    with watching() as listen:
        found = plan(parsed.settings, listen)
    out = output()
    out.table(
        [t("setting"), t("value"), t("why")],
        [[name, str(getattr(found.settings, name)), reason] for name, reason in found.reasons.items()],
    )
    out.show("")
    minutes, memory = found.estimate.seconds / 60, found.estimate.memory_bytes / 2**30
    out.show(
        t(
            "{trained} of {parameters} weights learn, in {steps} steps of {rows} rows",
            trained=f"{found.trained:,}",
            parameters=f"{found.parameters:,}",
            steps=found.steps,
            rows=found.rows_per_step,
        )
    )
    out.show(t("about {minutes} minutes and {memory} GB of memory", minutes=f"{minutes:.1f}", memory=f"{memory:.1f}"))
    out.result(
        {
            "seconds": found.estimate.seconds,
            "memory_bytes": found.estimate.memory_bytes,
            "steps": found.steps,
            "rows": found.train_rows,
            "tokens": found.train_tokens,
            "parameters": found.parameters,
            "trained": found.trained,
            "ledger": found.ledger,
            "settings": {
                name: {"value": value, "reason": found.reasons.get(name)}
                for name, value in found.settings.model_dump(mode="json", exclude=set(comparison_names())).items()
            },
        }
    )
