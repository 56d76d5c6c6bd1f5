"""etcd's v2 store as a state machine: nodes, events, watchers, expiry."""
