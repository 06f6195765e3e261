"""Every metric of the program, defined once (DESIGN.md section 11).

Exists so that names, labels and buckets are decided at one place and no other module knows
Prometheus. Promises: a registry of its own for each process's metrics and no module-level state,
so tests and simulations hold as many as they like; base units; never a namespace's or an object's
name in a label. `resource` is `APIResource.label`: `deployments.apps`, `pods`. What alerts count
is there from the start on: `increase()` does not see a series that begins with 1.

Call sites use the metrics as they are: `metrics.changes.labels("pods", "create").inc()`. `labels`
takes a lock and a dictionary look-up (under 1 us): loops keep what it returns. What can be asked
when somebody scrapes is given once: `metrics.pending_objects.set_function(lambda: len(pending))`.
"""

from watcher.metrics.capture import Metrics
from watcher.metrics.fleet import ClusterFigures, FleetMetrics
from watcher.metrics.process import ProcessMetrics

__all__ = ["ClusterFigures", "FleetMetrics", "Metrics", "ProcessMetrics"]
