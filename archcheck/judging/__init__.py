"""From a contract and facts to verdicts: the engine, waivers, jobs and shards; also pages of rules and first contracts.

It imports `workers`, `contract`, `rules`, `facts`, `foundation`, and the engine alone imports `measure`.
"""
