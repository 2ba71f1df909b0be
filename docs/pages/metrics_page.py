"""Writes the metrics page, `docs/metrics.md`, from the names and help of the metrics."""

import click

from consumers.monitoring.metrics import METRICS
from consumers.monitoring.settings import MetricsSettings
from consumers.monitoring.targets import PROBED_EVERY_S

_TEXT = """\
# Metrics

Every process that runs long serves them at `/metrics`, on `127.0.0.1:{port}` unless told otherwise
(`--metrics-port`, `ROUTESTREAM_METRICS_HOST`, `ROUTESTREAM_METRICS_PORT`,
`ROUTESTREAM_METRICS_ENABLED`). A supervisor (`--processes`, `--all`) has that port itself, its
processes the ports after it, in the order in which it starts them; port 0 takes any free one, and
the log line `metrics_served` says which. A port in use is the warning `metrics_unavailable`; the
process works on without.

A number that was read from Redis is at most {every_s:g} s old, and left out while the server does
not answer. The name of a consumer is no label: each start has a new one.

This page is made by `python -m docs.pages.metrics_page > docs/metrics.md`.

| name | kind | labels | what it says |
|---|---|---|---|
{rows}

## Is it alive, is it ready

`/livez` and `/readyz` answer 200 with `{{"ok":true,"problems":[]}}`, or 503 with each problem: why,
since when, of which group and partition.

| what happens | `/livez` | `/readyz` |
|---|---|---|
| it consumes, or waits for its turn | 200 | 200 |
| it starts, or looks for its group anew | 200 | 503 |
| the read model of a projector has no live generation | 200 | 503 |
| for `stalled_s` ({stalled_s:g}) no read was answered, and there is nothing to read | 200 | 200 |
| for `stalled_s` no read was answered, although there is lag | 503 | 200 |
| for `stalled_s` a batch was neither settled nor given up | 503 | 200 |
| the server is away: starting the process again would not help | 200 | 503 |
| it is away for `patience_s` ({patience_s:g}): the cause may lie here after all | 503 | 503 |
| a build of the read model takes longer than `patience_s` | 503 | 503 |
| the process stands still (SIGSTOP, a blocked event loop) | no answer | no answer |

Let a prober take no answer within some seconds for a no. `stalled_s` (in the settings:
`metrics.vitals.stalled_s`, `ROUTESTREAM_METRICS_VITALS_STALLED_S`) must be longer than the deadline
of any handler. A supervisor lives as long as it answers, and is ready while all its processes run;
a health checker lives as long as it answers, and is ready while its signs of life are heard.
"""


def metrics_page() -> str:
    """Return the page, with the defaults of the settings."""
    settings = MetricsSettings()
    rows = "\n".join(
        f"| `{metric.full_name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.help} |"
        for metric in METRICS
    )
    return _TEXT.format(
        port=settings.port,
        every_s=PROBED_EVERY_S,
        rows=rows,
        stalled_s=settings.vitals.stalled_s,
        patience_s=settings.vitals.patience_s,
    )


if __name__ == "__main__":
    click.echo(metrics_page(), nl=False)
