"""A cluster, a bucket and whoever follows the one into the other, in one process, by seed.

Exists because the worst bugs of a backup need three things to go wrong at once. Everything between
the two edges (the API server's answers, the bucket's) is the real program; both edges are models
in memory; time is virtual; all that is random comes from the seed, so a seed replays exactly.

The faults that must be survivable, in any mix and order:

- API server: watches dropped, closed early, silent, cut in mid-line; lists cut; continue tokens
  expired; history compacted; 401, 403 on a kind, 429, 503; unreachable; requests never answered;
  down and up again; a group whose backend is down; a kind whose list is empty though its objects
  are there; an aggregated API that is empty while it warms up; etcd put back to an older snapshot;
  another cluster behind the same address
- bucket: unreachable; answer lost though the request took place; requests that land late; silent;
  throttled; rejected; a listing that shows an older state; conditions ignored; other ETags than MD5
- process: killed between two awaits or in the middle of a request, which still may land; stopped
  in order, and stopped with too little time; started anew; two of them at once, with a Lease that
  tells which one writes (each of them cut off from the API server at times) or without one
- wall clock: jumps forth and back by hours

What must hold all the same is in invariants.py: safety at each request, and once the faults have
ended, the same state on both sides within a bounded time. `python -m tests.simulation --help`.
"""
