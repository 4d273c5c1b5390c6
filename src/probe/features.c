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
#include "probe/confine.h"
#include "probe/heap.h"
#include "probe/lacks.h"
#include "probe/memory_watch.h"
#include "probe/pages.h"
#include "probe/privileges.h"
#include "probe/uprobes.h"
#include "probe/wire.h"
#include "stack/gateway.h"

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

/* The worst of what was found counts; its first reason is told. */
static void command(struct features *f, int which, enum feature_state state, const char *why)
{
	struct feature_command *c = &f->commands[which];

	if (state <= c->state)
		return;
	c->state = state;
	snprintf(c->why, sizeof(c->why), "%s", why);
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

/* What a capability that is not held means for the commands. */
static void lacks_capability(struct features *f, const struct privilege *p)
{
	static const struct {
		enum privilege_use use;
		int command;
	} uses[] = {{PRIVILEGES_TRACE, FEATURE_TRACE},	 {PRIVILEGES_MEM, FEATURE_MEM},
		    {PRIVILEGES_PAGES, FEATURE_PAGES},	 {PRIVILEGES_ALLOCS, FEATURE_ALLOCS},
		    {PRIVILEGES_BENCH, FEATURE_GATEWAY}, {PRIVILEGES_TLS, FEATURE_GATEWAY}};
	char why[128];

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		unsigned int bit = 1u << uses[i].use;

		if (p->required & bit) {
			snprintf(why, sizeof(why), "%s is not held", p->name);
			command(f, uses[i].command, FEATURE_MISSING, why);
		} else if (p->useful & bit && p->without) {
			snprintf(why, sizeof(why), "without %s: %s", p->name, p->without);
			command(f, uses[i].command, FEATURE_DEGRADED, why);
		}
	}
}

/* "trace, heap --allocs": who needs it, or to whom it is of use. */
static void users_of(unsigned int uses, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (int use = 0; use < PRIVILEGES_USES && used < size; use++) {
		if (uses & 1u << use)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
						 privilege_use__name((enum privilege_use)use));
	}
}

static void probe_capabilities(struct features *f)
{
	for (size_t i = 0; i < privileges_n; i++) {
		const struct privilege *p = &privileges[i];
		bool held = privilege__granted(p), trace = p->required & 1u << PRIVILEGES_TRACE;
		enum feature_state lost = trace ? FEATURE_MISSING : FEATURE_DEGRADED;
		struct feature *r = row(f, p->name, held ? FEATURE_OK : lost, "%s: %s",
					held ? "held" : "not held", p->why);
		char users[96];

		if (held)
			continue;
		users_of(p->required ? p->required : p->useful, users, sizeof(users));
		snprintf(r->advice, sizeof(r->advice),
			 "%s %s: run as root (sudo), or give the container or the file this "
			 "capability (docs/privileges.md)",
			 p->required ? "needed by" : "of use to", users);
		lacks_capability(f, p);
	}
	if (confine__has_filters())
		row(f, "seccomp filters", FEATURE_OK, "hopscope confines itself while it runs");
	else
		advise(row(f, "seccomp filters", FEATURE_DEGRADED, "not in this kernel"),
		       "hopscope runs with fewer capabilities, but with all system calls");
}

/* Is the memory controller one of this cgroup v2 hierarchy? */
static bool has_memory(const char *mount)
{
	char path[300], line[256] = "", *word, *save = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.controllers", mount ? mount : "");
	f = mount ? fopen(path, "re") : NULL;
	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	for (word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (!strcmp(word, "memory"))
			return true;
	}
	return false;
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
	if (v1 || has_memory(mount)) {
		row(f, "memory controller", FEATURE_OK, "%s", v1 ? "cgroup v1" : "cgroup v2");
		return;
	}
	advise(row(f, "memory controller", FEATURE_DEGRADED, "in neither hierarchy"),
	       "mem has nothing to read: boot without cgroup_disable=memory, or mount cgroup v1's");
	command(f, FEATURE_MEM, FEATURE_MISSING, "no memory controller");
}

/* A row that says why a command's programs were refused. */
static void refused(struct features *f, int which, const char *name, enum lacks_use use, int err)
{
	char lacks[140], why[160];

	if (kernel__lacks(use, lacks, sizeof(lacks)))
		snprintf(why, sizeof(why), "this kernel lacks %s", lacks);
	else
		snprintf(why, sizeof(why), "refused by this kernel: %s", strerror(-err));
	advise(row(f, name, FEATURE_MISSING, "%s", why),
	       lacks[0] ? "in parentheses: since when kernels have it; what works here is listed "
			  "below"
			: "run the command with -v for the verifier's words");
	command(f, which, FEATURE_MISSING, why);
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

/* A part of the wire programs that `trace` does without, and bench's gateway does not. */
static void lacks_part(struct features *f, const char *name, const char *lost)
{
	char why[64];

	advise(row(f, name, FEATURE_DEGRADED, "refused"), lost);
	snprintf(why, sizeof(why), "%s is refused", name);
	command(f, FEATURE_GATEWAY, FEATURE_MISSING, why);
}

/* As bench's gateway has them, linked calls and TLS; else with as much of that as can be had. */
static int open_wire(struct features *f, struct wire **w)
{
	static const struct {
		bool tree, tls;
	} tries[] = {{true, true}, {true, false}, {false, true}, {false, false}};
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct wire_opts opts = {.max_series = 1,
					 .max_overflow = 64,
					 .tree = tries[i].tree,
					 .tls = tries[i].tls};

		err = wire__open(w, &opts);
		if (err)
			continue;
		if (opts.tree)
			row(f, "trace --tree", FEATURE_OK, "verified and loaded");
		else
			lacks_part(f, "trace --tree",
				   "calls cannot be linked to requests; see the message above");
		if (!opts.tls)
			lacks_part(f, "trace --tls",
				   "TLS connections cannot be read; see the message above");
		break;
	}
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
		refused(f, FEATURE_TRACE, "wire programs: load", LACKS_WIRE, err);
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

static void ignore_event(void *ctx, const struct cgroup_event *event)
{
	(void)ctx, (void)event;
}

static void probe_events(struct features *f)
{
	struct memory_events *e = memory_events__open(0, ignore_event, NULL);

	if (e && memory_events__cgroups(e) && memory_events__kills(e)) {
		row(f, "mem: events", FEATURE_OK, "cgroups that come and go, OOM victims");
	} else {
		advise(row(f, "mem: events", FEATURE_DEGRADED, "%s",
			   e ? "not all of them" : "none"),
		       "mem looks for new cgroups once an interval, or names no OOM victim");
		command(f, FEATURE_MEM, FEATURE_DEGRADED,
			e && memory_events__cgroups(e) ? "OOM victims are counted, not named"
						       : "cgroups are looked for once an interval");
	}
	memory_events__close(e);
}

static void probe_pages(struct features *f)
{
	int err = pages__try();

	if (err)
		refused(f, FEATURE_PAGES, "heap --pages", LACKS_PAGES, err);
	else
		row(f, "heap --pages", FEATURE_OK, "page_fault_user, page_fault_kernel");
}

static void probe_allocs(struct features *f)
{
	static const char *const how[] = {
		[UPROBE_PERF] = "a perf event for each probe",
		[UPROBE_MULTI] = "many in one link",
		[UPROBE_SESSION] = "entry and return in one session",
	};
	enum uprobe_how best = uprobes__best();
	struct feature *r;
	int err = heap__try();

	if (err) {
		refused(f, FEATURE_ALLOCS, "heap --allocs", LACKS_ALLOCS, err);
		return;
	}
	r = row(f, "heap --allocs", best == UPROBE_PERF ? FEATURE_DEGRADED : FEATURE_OK,
		"uprobes: %s", how[best]);
	if (best == UPROBE_PERF) {
		advise(r, "attaching takes longer and every call pays for its return; Linux 6.13 "
			  "has sessions");
		command(f, FEATURE_ALLOCS, FEATURE_DEGRADED, "every call pays for its return");
	}
}

/* What `mem` and `heap` use. Without it trace and bench still work. */
static void probe_memory(struct features *f)
{
	probe_events(f);
	probe_pages(f);
	probe_allocs(f);
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

/* What bench's gateway is made of: the check that a run of it makes. */
static void probe_gateway(struct features *f)
{
	struct gateway_need needs[GATEWAY_NEEDS];
	struct gateway_versions versions = {};
	char advice[128];

	gateway__needs(needs, &versions);
	for (size_t i = 0; i < GATEWAY_NEEDS; i++) {
		const struct gateway_need *n = &needs[i];

		if (n->there) {
			row(f, n->name, FEATURE_OK, "%.150s", n->found);
			continue;
		}
		snprintf(advice, sizeof(advice), "bench's gateway needs it: apt install %s",
			 n->package);
		advise(row(f, n->name, FEATURE_DEGRADED, "%.150s", n->found), advice);
		command(f, FEATURE_GATEWAY, FEATURE_MISSING, n->found);
	}
}

/* What is missing before memory is looked at, trace and bench need. */
static void judge_trace(struct features *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->rows[i].state != FEATURE_MISSING)
			continue;
		command(f, FEATURE_TRACE, FEATURE_MISSING, f->rows[i].found);
		command(f, FEATURE_GATEWAY, FEATURE_MISSING, f->rows[i].found);
	}
}

void features__probe(struct features *f)
{
	static const char *const names[FEATURE_COMMANDS] = {
		[FEATURE_TRACE] = "trace",
		[FEATURE_MEM] = "mem",
		[FEATURE_PAGES] = "heap --pages",
		[FEATURE_ALLOCS] = "heap --allocs",
		[FEATURE_GATEWAY] = "bench, gateway",
	};

	f->n = 0;
	for (int i = 0; i < FEATURE_COMMANDS; i++)
		f->commands[i] = (struct feature_command){names[i], FEATURE_OK, ""};
	probe_kernel(f);
	probe_capabilities(f);
	probe_cgroups(f);
	probe_tracepoint(f, "tcp_destroy_sock",
			 "exchanges of closed connections cannot be told from slow ones");
	probe_wire(f);
	judge_trace(f);
	probe_memory(f);
	probe_tool(f, "nats-server",
		   "bench starts its own cluster with it: apt install nats-server");
	probe_tool(f, "socat", "bench forwards through it: apt install socat");
	probe_gateway(f);
}

bool features__usable(const struct features *f)
{
	return f->commands[FEATURE_TRACE].state != FEATURE_MISSING;
}
