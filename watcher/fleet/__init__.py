"""Are all clusters of a bucket backed up? What their own files in `_meta/` say, and what is wrong.

Exists so that one look answers for a thousand clusters, also for those whose own Prometheus died
with them. `look` reads what one cluster says, `judgement` tells what is wrong with that, `clusters`
does both for all of them, `lookout` again and again for metrics and a page. No object is listed or
read: whether a backup is whole is for `verify` to say, which judges heartbeats and reports by the
same rules (verify/freshness.py).
"""
