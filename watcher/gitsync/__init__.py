"""From the bucket to one git repository: what changed in which cluster becomes a commit.

Exists so that people see every change of every cluster as a diff, with the tools that they know.
Nothing is kept outside of the repository itself: the last commit of ours says how far it goes
(`position`), so a lost disk costs a shallow fetch, and somebody else's commits cost nothing. `git`
runs the program, `remote` knows how it reaches the host and what a refusal means, `repository` is
the local copy, `folder` keeps it to one process, `tree` is what a commit is to hold; `scan` finds
what changed in the bucket, `selection` what of it may be mirrored, `message` and `readme` what
people read; `mirror` is one round, `publish` gets it to the host, `service` knows when.
"""
