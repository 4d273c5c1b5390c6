// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/privileges.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>

#include "log.h"

/* Debian bookworm's libcap knows them; the numbers are the kernel's (linux/capability.h). */
const struct privilege privileges_wire[] = {
	{39 /* CAP_BPF */, "CAP_BPF", "load BPF programs and create maps"},
	{38 /* CAP_PERFMON */, "CAP_PERFMON", "follow kernel pointers: owners of sockets"},
	{CAP_NET_ADMIN, "CAP_NET_ADMIN", "attach to the packets of a cgroup"},
};
const size_t privileges_wire_n = sizeof(privileges_wire) / sizeof(privileges_wire[0]);

bool privilege__held(int cap)
{
	cap_flag_value_t on = CAP_CLEAR;
	cap_t set = cap_get_proc();

	if (set)
		cap_get_flag(set, cap, CAP_EFFECTIVE, &on);
	cap_free(set);
	return on == CAP_SET;
}

int privileges__check_wire(void)
{
	char missing[128] = "";
	size_t used = 0;

	/* CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON (and was all there was before 5.8). */
	for (size_t i = 0; i < privileges_wire_n; i++) {
		const struct privilege *p = &privileges_wire[i];

		if (privilege__held(p->cap) ||
		    (p->cap != CAP_NET_ADMIN && privilege__held(CAP_SYS_ADMIN)))
			continue;
		used += (size_t)snprintf(missing + used, sizeof(missing) - used, "%s%s",
					 used ? ", " : "", p->name);
	}
	if (!used)
		return 0;
	return log_fail(
		-EPERM,
		"cannot measure: %s missing in this process; run it as root (sudo), or in a "
		"container that is given these capabilities",
		missing);
}

const char *lockdown__mode(void)
{
	static char mode[32];
	char line[128] = "", *from, *to;
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");

	if (!f)
		return "unknown";
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	from = strchr(line, '[');
	to = from ? strchr(from, ']') : NULL;
	if (!to)
		return "unknown";
	snprintf(mode, sizeof(mode), "%.*s", (int)(to - from - 1), from + 1);
	return mode;
}
