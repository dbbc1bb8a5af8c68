"""The commands; `gateway.cli` imports the one that is called for.

    startup               what holds from the first instant, before all else is imported
    run                   `gateway run`: reads the configuration
    reexec                hands it to a fresh process, which never read a YAML file
    serving               the gateway, until it is told to end
    banner                what is told when the ports are open
    init                  `gateway init`
    check                 `gateway check`
    send                  `gateway send`
    subscriber            `gateway subscriber`
    dead                  `gateway dead`
    dead_letter_selection which dead letters are meant
    dead_letter_text      a dead letter, told
    ledger                `gateway ledger`
    move                  `gateway move`
    flags                 the options that commands share
    connect               the way to the Redis that a configuration names
    text                  tables, times, and bytes from outside that must not steer a terminal
    failure               how a failure is told, with its exit code

A command finds out what to do, does it, and tells it in text for people or, with `--json`, for
programs. What is told goes to standard output, everything else to standard error. A name or an
id that does not exist is told before anything is changed.
"""
