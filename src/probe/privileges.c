// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "probe/privileges.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

/* The numbers are the kernel's (linux/capability.h); libcap of older systems has no names. */
#define CAP_PERFMON_	38
#define CAP_BPF_	39
#define CAP_CHECKPOINT_ 40

#define BIT(use)  (1u << (use))
#define WIRE	  (BIT(PRIVILEGES_TRACE) | BIT(PRIVILEGES_TLS) | BIT(PRIVILEGES_BENCH))
#define FUNCTIONS (BIT(PRIVILEGES_TLS) | BIT(PRIVILEGES_ALLOCS)) /* probes in what comes later */
#define HEAP	  (BIT(PRIVILEGES_PAGES) | BIT(PRIVILEGES_ALLOCS))
#define MEM	  BIT(PRIVILEGES_MEM)
#define BENCH	  BIT(PRIVILEGES_BENCH) /* starts probes anew, and gives up nothing */
#define ALL	  (BIT(PRIVILEGES_USES) - 1)

const struct privilege privileges[] = {
	{CAP_BPF_, "CAP_BPF", "load BPF programs and create maps",
	 "cgroups and OOM victims are looked for, not followed", WIRE | HEAP, MEM,
	 FUNCTIONS | BENCH, true},
	{CAP_PERFMON_, "CAP_PERFMON", "follow kernel pointers, attach to tracepoints and functions",
	 "cgroups and OOM victims are looked for, not followed", WIRE | HEAP, MEM,
	 FUNCTIONS | BENCH, true},
	{CAP_NET_ADMIN, "CAP_NET_ADMIN", "attach to the packets of a cgroup", NULL, WIRE, 0, BENCH,
	 false},
	{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "see what other users' processes have mapped",
	 "only processes of this user can be looked into", FUNCTIONS, BIT(PRIVILEGES_PAGES),
	 FUNCTIONS | HEAP, false},
	{CAP_CHECKPOINT_, "CAP_CHECKPOINT_RESTORE", "open the very files that processes run", NULL,
	 FUNCTIONS, 0, FUNCTIONS, true},
	{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH",
	 "look into processes (with CAP_SYS_PTRACE); names of cgroups and containers",
	 "names of containers are not known", FUNCTIONS, ALL & ~FUNCTIONS, ALL, false},
	{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "make cgroups", NULL, BIT(PRIVILEGES_BENCH), 0,
	 BIT(PRIVILEGES_BENCH), false},
	{CAP_SYS_NICE, "CAP_SYS_NICE", "watch the budget in time on a busy machine", NULL, 0,
	 BIT(PRIVILEGES_ALLOCS), 0, false},
	{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "measure what the programs themselves cost", NULL, 0,
	 WIRE | BIT(PRIVILEGES_PAGES), BIT(PRIVILEGES_PAGES) | BENCH, false},
};
const size_t privileges_n = sizeof(privileges) / sizeof(privileges[0]);

const char *privilege_use__name(enum privilege_use use)
{
	static const char *const names[PRIVILEGES_USES] = {
		[PRIVILEGES_TRACE] = "trace",
		[PRIVILEGES_TLS] = "trace --tls",
		[PRIVILEGES_MEM] = "mem",
		[PRIVILEGES_PAGES] = "heap --pages",
		[PRIVILEGES_ALLOCS] = "heap --allocs",
		[PRIVILEGES_BENCH] = "bench",
	};

	return names[use];
}

bool privilege__held(int cap)
{
	cap_flag_value_t on = CAP_CLEAR;
	cap_t set = cap_get_proc();

	if (set)
		cap_get_flag(set, cap, CAP_EFFECTIVE, &on);
	cap_free(set);
	return on == CAP_SET;
}

bool privilege__granted(const struct privilege *p)
{
	return privilege__held(p->cap) || (p->admin && privilege__held(CAP_SYS_ADMIN));
}

/* Names of what is missing, "" if nothing is. */
static void list_missing(enum privilege_use use, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < privileges_n; i++) {
		const struct privilege *p = &privileges[i];

		if (p->required & BIT(use) && !privilege__granted(p) && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
						 p->name);
	}
}

bool privileges__suffice(enum privilege_use use, char *missing, size_t size)
{
	list_missing(use, missing, size);
	return !missing[0];
}

int privileges__check(enum privilege_use use)
{
	static unsigned int told; /* a bit a row */
	char missing[160];

	list_missing(use, missing, sizeof(missing));
	if (missing[0])
		return log_fail(
			-EPERM,
			"cannot measure: %s missing in this process, which %s needs; run it "
			"as root (sudo), or in a container or from a file that is given "
			"these capabilities (docs/privileges.md)",
			missing, privilege_use__name(use));
	for (size_t i = 0; i < privileges_n; i++) {
		const struct privilege *p = &privileges[i];

		if (!(p->useful & BIT(use)) || !p->without || privilege__granted(p) ||
		    told & 1u << i)
			continue;
		log_warn("without %s: %s", p->name, p->without);
		told |= 1u << i;
	}
	return 0;
}

/* ---- giving up */

static bool is_kept(int cap, enum privilege_use use)
{
	for (size_t i = 0; i < privileges_n; i++) {
		if (privileges[i].cap == cap)
			return privileges[i].kept & BIT(use);
	}
	return false;
}

/*
 * Does bpf(2) ask for CAP_BPF even for a map that is already open? It did where unprivileged BPF is
 * turned off, before Linux 5.19 (commit c8644cd0efe7). Tried with a descriptor that is none.
 */
static bool bpf_wants_privilege(void)
{
	union bpf_attr attr = {.map_fd = (uint32_t)-1};

	return syscall(__NR_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) && errno == EPERM;
}

/* Keeps in the flag's set what `use` keeps, and `also`. */
static void reduce(cap_t set, cap_flag_t flag, enum privilege_use use, int also)
{
	for (cap_value_t cap = 0; cap <= CAP_CHECKPOINT_ + 23; cap++) {
		cap_flag_value_t on;

		if (cap_get_flag(set, cap, flag, &on) || on == CAP_CLEAR)
			continue;
		if (!is_kept(cap, use) && cap != also)
			cap_set_flag(set, flag, 1, &cap, CAP_CLEAR);
	}
}

int privileges__keep_from_children(void)
{
	cap_t set;
	int err = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return -errno;
	set = cap_get_proc();
	if (!set || cap_clear_flag(set, CAP_INHERITABLE) || cap_set_proc(set))
		err = -errno;
	cap_free(set);
	return err;
}

/* CAP_SYS_ADMIN stands for those that it includes: where they are kept and not held, it is. */
static int stand_in(enum privilege_use use)
{
	for (size_t i = 0; i < privileges_n; i++) {
		const struct privilege *p = &privileges[i];

		if (p->kept & p->required & BIT(use) && p->admin && !privilege__held(p->cap))
			return CAP_SYS_ADMIN;
	}
	return -1;
}

int privileges__drop(enum privilege_use use)
{
	int also = stand_in(use), err = privileges__keep_from_children();
	cap_t set;

	if (err)
		return err;
	set = cap_get_proc();
	if (!set)
		return -errno;
	reduce(set, CAP_EFFECTIVE, use, also);
	if (cap_set_proc(set)) {
		err = -errno;
		goto out;
	}
	if (also < 0 && bpf_wants_privilege())
		also = CAP_BPF_;
	reduce(set, CAP_PERMITTED, use, also);
	if (also == CAP_BPF_) {
		cap_value_t bpf = CAP_BPF_;
		cap_flag_value_t on = CAP_CLEAR;

		cap_get_flag(set, bpf, CAP_PERMITTED, &on);
		cap_set_flag(set, CAP_EFFECTIVE, 1, &bpf, on);
	}
	err = cap_set_proc(set) ? -errno : 0;
out:
	cap_free(set);
	return err;
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
