// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/features.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "log.h"
#include "probe/cgroup2.h"
#include "probe/privileges.h"
#include "probe/uprobes.h"
#include "probe/wire.h"

static struct feature *row(struct features *f, const char *name, enum feature_state state,
			   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static struct feature *row(struct features *f, const char *name, enum feature_state state,
			   const char *fmt, ...)
{
	struct feature *r = &f->rows[f->n < FEATURES_MAX - 1 ? f->n++ : FEATURES_MAX - 1];
	va_list ap;

	r->name = name;
	r->state = state;
	va_start(ap, fmt);
	vsnprintf(r->found, sizeof(r->found), fmt, ap);
	va_end(ap);
	return r;
}

static void advise(struct feature *r, const char *advice)
{
	snprintf(r->advice, sizeof(r->advice), "%s", advice);
}

static void probe_kernel(struct features *f)
{
	const char *lockdown = lockdown__mode();
	struct utsname un;

	uname(&un);
	row(f, "kernel", FEATURE_OK, "%s %s", un.release, un.machine);
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		row(f, "BTF", FEATURE_OK, "/sys/kernel/btf/vmlinux");
	else
		advise(row(f, "BTF", FEATURE_MISSING, "no /sys/kernel/btf/vmlinux"),
		       "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y; distribution "
		       "kernels since about 5.4 are");
	/* "confidentiality" refuses helpers that read kernel memory: none of ours does. */
	row(f, "lockdown", FEATURE_OK, "%s%s", lockdown,
	    strcmp(lockdown, "unknown") ? "" : " (securityfs is not mounted)");
}

static void probe_capabilities(struct features *f)
{
	for (size_t i = 0; i < privileges_wire_n; i++) {
		const struct privilege *p = &privileges_wire[i];

		if (privilege__held(p->cap) || (i < 2 && privilege__held(CAP_SYS_ADMIN)))
			row(f, p->name, FEATURE_OK, "held: %s", p->why);
		else
			advise(row(f, p->name, FEATURE_MISSING, "not held: %s", p->why),
			       "run as root (sudo), or give the container or file this capability");
	}
	if (privilege__held(CAP_DAC_READ_SEARCH))
		row(f, "CAP_DAC_READ_SEARCH", FEATURE_OK, "held: names of cgroups by their id");
	else
		advise(row(f, "CAP_DAC_READ_SEARCH", FEATURE_DEGRADED, "not held"),
		       "containers are printed as '?'");
}

static void probe_cgroups(struct features *f)
{
	const char *mount = cgroup2__mount();
	bool v1 = access("/sys/fs/cgroup/memory/memory.usage_in_bytes", R_OK) == 0;

	if (mount)
		row(f, "cgroup v2", FEATURE_OK, "%s", mount);
	else
		advise(row(f, "cgroup v2", FEATURE_MISSING, "not mounted"),
		       "mount -t cgroup2 none /sys/fs/cgroup/unified");
	row(f, "memory controller", FEATURE_OK, "%s", v1 ? "cgroup v1" : "cgroup v2");
}

static bool has_tracepoint(const char *name)
{
	return libbpf_find_vmlinux_btf_id(name, BPF_TRACE_RAW_TP) > 0;
}

/* A function that a BTF tracepoint needs, in the kernel's own types. */
static void probe_tracepoint(struct features *f, const char *name, const char *lost)
{
	if (has_tracepoint(name))
		row(f, name, FEATURE_OK, "tracepoint, typed");
	else
		advise(row(f, name, FEATURE_MISSING, "no such tracepoint in this kernel"), lost);
}

/* With the probes for TLS, where they can be had: everything else does without. */
static int open_wire(struct features *f, struct wire **w)
{
	struct wire_opts opts = {.max_series = 1, .max_overflow = 64, .tls = true};
	int err = wire__open(w, &opts);

	if (!err)
		return 0;
	opts.tls = false;
	err = wire__open(w, &opts);
	if (!err)
		advise(row(f, "trace --tls", FEATURE_DEGRADED, "refused"),
		       "TLS connections cannot be read; see the message above");
	return err;
}

static void probe_tls(struct features *f, const struct wire *w)
{
	char found[160];

	wire__tls_found(w, found, sizeof(found));
	if (found[0])
		row(f, "trace --tls", FEATURE_OK, "%s", found);
}

static void probe_wire(struct features *f)
{
	struct wire *w = NULL;
	int err;

	err = open_wire(f, &w);
	if (err) {
		advise(row(f, "wire programs: load", FEATURE_MISSING, "refused: %s",
			   strerror(-err)),
		       "see the message above; `hopscope doctor -v` prints the verifier's words");
		return;
	}
	row(f, "wire programs: load", FEATURE_OK, "verified and loaded");
	err = wire__attach(w);
	if (err)
		advise(row(f, "wire programs: attach", FEATURE_MISSING, "refused: %s",
			   strerror(-err)),
		       "see the message above");
	else
		row(f, "wire programs: attach", FEATURE_OK, "%s, both directions",
		    cgroup2__mount());
	if (!err)
		probe_tls(f, w);
	if (!err && wire__statistics(w, true))
		advise(row(f, "BPF statistics", FEATURE_DEGRADED, "refused"),
		       "the programs' own cost cannot be shown (needs CAP_SYS_ADMIN)");
	else if (!err)
		row(f, "BPF statistics", FEATURE_OK, "run time of each program");
	wire__close(w);
}

/* What `mem` and `heap` would use. Without it trace and bench still work. */
static void probe_memory(struct features *f)
{
	static const char *const how[] = {
		[UPROBE_PERF] = "a perf event for each probe",
		[UPROBE_MULTI] = "many in one link",
		[UPROBE_SESSION] = "entry and return in one session",
	};
	enum uprobe_how best = uprobes__best();
	struct feature *r;

	if (has_tracepoint("cgroup_mkdir") && has_tracepoint("mark_victim"))
		row(f, "mem: events", FEATURE_OK, "cgroups that come and go, OOM victims");
	else
		advise(row(f, "mem: events", FEATURE_DEGRADED, "not all tracepoints are there"),
		       "mem looks for new cgroups once an interval, and names no OOM victim");
	if (has_tracepoint("page_fault_user") && has_tracepoint("page_fault_kernel"))
		row(f, "heap --pages", FEATURE_OK, "page_fault_user, page_fault_kernel");
	else
		advise(row(f, "heap --pages", FEATURE_DEGRADED, "no page fault tracepoints"),
		       "x86 kernels have them; heap --allocs does without");
	r = row(f, "heap --allocs", best == UPROBE_PERF ? FEATURE_DEGRADED : FEATURE_OK,
		"uprobes: %s", how[best]);
	if (best == UPROBE_PERF)
		advise(r, "attaching takes longer and every call pays for its return; Linux 6.13 "
			  "has sessions");
	if (privilege__held(CAP_SYS_PTRACE))
		row(f, "CAP_SYS_PTRACE", FEATURE_OK, "held: mappings of other users' processes");
	else
		advise(row(f, "CAP_SYS_PTRACE", FEATURE_DEGRADED, "not held"),
		       "heap cannot look into other users' processes");
}

/* Is a program on PATH, or where Debian keeps daemons? */
static void probe_tool(struct features *f, const char *name, const char *package)
{
	const char *path = getenv("PATH");
	char dirs[4096], full[4608], *save = NULL, *dir;

	snprintf(dirs, sizeof(dirs), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
	for (dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		snprintf(full, sizeof(full), "%s/%s", dir, name);
		if (access(full, X_OK) == 0) {
			row(f, name, FEATURE_OK, "%.150s", full);
			return;
		}
	}
	advise(row(f, name, FEATURE_DEGRADED, "not found"), package);
}

void features__probe(struct features *f)
{
	f->n = 0;
	probe_kernel(f);
	probe_capabilities(f);
	probe_cgroups(f);
	probe_tracepoint(f, "tcp_destroy_sock",
			 "exchanges of closed connections cannot be told from slow ones");
	probe_wire(f);
	probe_memory(f);
	probe_tool(f, "nats-server",
		   "bench starts its own cluster with it: apt install nats-server");
	probe_tool(f, "socat", "bench forwards through it: apt install socat");
}

bool features__usable(const struct features *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->rows[i].state == FEATURE_MISSING)
			return false;
	}
	return true;
}
