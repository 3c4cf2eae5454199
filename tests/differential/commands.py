"""Shell commands for RUN whose files are the same whenever they run.

They may only touch what the generator itself puts somewhere: a file below /sys can change the machine by
being read, so nothing walks from / into mounts.
"""

from __future__ import annotations

from random import Random

MODES = (0o755, 0o600, 0o640, 0o4755, 0o2711, 0o1777, 0o400, 0o777, 0o000)
NEW = ("/o/n", "/o/d", "/o/d/f", "/o/x", "/l", "/o/ünï", "'/o/sp ace'", "/p/q", "/o/s", "/w/x", "/etc/new")


def command(r: Random, paths: list[str]) -> str:
    """One command. `paths` may be there; what it makes is added to them."""
    old = r.choice((*paths, *NEW)) if paths else r.choice(NEW)
    new = r.choice(NEW)
    if set(old) & set("$ *") and not old.startswith("'"):
        old = "/o"
    if old in ("/bin/env", "/etc", "/usr/bin", "/home", "/tmp") and r.random() < 0.6:
        old = "/o/n"
    paths.append(new.strip("'"))
    mode = format(r.choice(MODES), "o")
    up = f"mkdir -p $(dirname {new}) 2>/dev/null"
    listing = f'mkdir -p /r; X=$(find {old} -xdev ! -type p ! -type c | sort); echo "$X" >/r/names'
    return r.choice(
        (
            f"{up}; echo {r.choice(('x', '$A', '${B:-b}', 'long line of words'))} >{new}",
            f"{up}; echo {r.randint(0, 99)} >>{new}",
            f"rm -rf {old}",
            f"rm -rf {old} && mkdir -p {old}",
            f"rm -rf {old} && mkdir -p $(dirname {old}) && echo file >{old}",
            f"{up}; mv {old} {new}",
            f"{up}; mv {old} {new} && mv {new} {old}",
            f"mkdir -p {new}",
            f"mkdir -p {new} && chmod {mode} {new}",
            f"{up}; ln -s {old} {new}",
            f"{up}; ln -sf ../{old} {new}",
            f"{up}; ln -sfn {old} {new}",
            f"{up}; ln {old} {new}",
            f"chmod {mode} {old}",
            f"chmod -R u+rwX,g-w {old}",
            f"chown {r.choice(('1:2', '1000', 'nobody', ':5'))} {old}",
            f"chown -R 7:8 {old}",
            f"chown -h 7:8 {old}",
            f"{up}; cp -a {old} {new}",
            f"{up}; cp -r {old} {new}",
            f"{up}; cp -al {old} {new}",
            f"touch -d @{r.choice((0, 1, 86400, 1234567890))} {old}",
            f"touch {old}",
            "mv /etc /e2 && ln -s e2 /etc",
            "rm -rf /tmp && ln -s o /tmp",
            f"mkdir -p {new}; touch {new}/.wh.a" if r.random() < 0.1 else f"mkdir -p {new}/wh.x",
            f"rm -rf {old} && ln -s /etc {old}",
            f"rm -rf {old}/* {old}/.[a-z]*",
            f"find {old} -xdev -type f -delete",
            f"{up}; mkfifo {new}.fifo",
            f"{up}; mknod {new} c 1 3",
            "mkdir -p /r; env | sort >/r/env",
            "mkdir -p /r; (id; pwd; umask) >/r/id",
            "mkdir -p /r; X=$(find / -xdev ! -path '/bin/*' | sort); echo \"$X\" >/r/find",
            f"{listing}; xargs -d '\\n' </r/names stat -c '%n %F %a %u %g' >/r/stat",
            f"{listing}; xargs -d '\\n' </r/names grep -s -m3 '' >/r/grep",
            f"mkdir -p {new}/1/2 && echo deep >{new}/1/2/f && rm -rf {new}/1",
            f"{up}; dd if=/dev/zero of={new} bs=1 count=0 seek=100000",
            f": >{old}",
            f"test -e {old}",
            "exit 3" if r.random() < 0.15 else "true",
        )
    )
