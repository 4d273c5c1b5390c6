// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/tls.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "probe/programs.h"
#include "probe/seccomp.h"
#include "probe/shared.h"
#include "probe/tls_internal.h"
#include "sym/maps.h"

uint64_t tls__now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- probes */

/* The probes of one kind: where connections end only the call is of interest, not its return. */
static size_t sites_of(const struct tls *t, const struct tls_file *f, bool ends,
		       struct uprobe_site *sites)
{
	uint32_t file = (uint32_t)(f - t->files);
	size_t n = 0;

	for (uint32_t i = 0; i < f->module->n; i++) {
		const struct tls_site *s = &f->module->sites[i];

		if ((s->what->role == TLS_END) != ends)
			continue;
		sites[n].offset = s->offset + s->at.offset;
		sites[n++].cookie = TLS_COOKIE(s->what->role, s->result, s->wide,
					       file * TLS_MODULE_SITES + i + 1);
	}
	return n;
}

/* perf events say "all processes" in another way. */
static int attach(const struct tls *t, struct uprobes *u, const struct bpf_program *prog,
		  enum uprobe_end end, const char *path, pid_t pid, const struct uprobe_site *sites,
		  size_t n)
{
	return uprobes__attach(u, prog, t->how, end, path, !pid && t->how == UPROBE_PERF ? -1 : pid,
			       sites, n);
}

static int attach_calls(const struct tls *t, struct uprobes *u, const char *path, pid_t pid,
			const struct uprobe_site *sites, size_t n)
{
	const struct tls_bpf *s = t->skel;
	int err;

	if (t->how == UPROBE_SESSION)
		return attach(t, u, s->progs.tls_session, UPROBE_BOTH, path, pid, sites, n);
	err = attach(t, u, s->progs.tls_return, UPROBE_RETURN, path, pid, sites, n);
	return err ? err : attach(t, u, s->progs.tls_enter, UPROBE_ENTRY, path, pid, sites, n);
}

/* Ends first: no connection is to be left over. */
int tls__probe(struct tls *t, struct uprobes *u, const struct tls_file *f, const char *path,
	       pid_t pid)
{
	struct uprobe_site sites[TLS_MODULE_SITES];
	struct uprobes all = {0};
	size_t n = sites_of(t, f, true, sites);
	int err = attach(t, &all, t->skel->progs.tls_end, UPROBE_ENTRY, path, pid, sites, n);

	n = sites_of(t, f, false, sites);
	err = err ? err : attach_calls(t, &all, path, pid, sites, n);
	err = err ? err : uprobes__take(u, &all);
	if (err)
		uprobes__detach(&all);
	for (size_t i = 0; i < f->module->n && !err; i++)
		log_debug("probing %s%s in %s +0x%x (%s%s)", f->module->sites[i].what->symbol,
			  f->module->sites[i].inner ? " and its like" : "", f->path,
			  f->module->sites[i].at.offset, f->module->sites[i].at.instruction,
			  f->module->sites[i].at.emulated ? "" : ": single-stepped");
	return err;
}

/* ---- what this kernel does */

static __attribute__((noinline)) void probed(void)
{
	asm volatile("" ::: "memory");
}

/* A probe on a function of our own: in process pid, a copy of ours. */
static int attach_check(void *ctx, struct uprobes *u, pid_t pid)
{
	struct uprobe_site site = {.cookie = TLS_COOKIE(TLS_CHECK, 0, 0, 0)};
	uint64_t at = (uint64_t)(uintptr_t)probed;
	const struct map *map;
	struct maps maps;
	char path[64];
	int err = maps__read(&maps, getpid(), true);

	if (err)
		return err;
	map = maps__find(&maps, at);
	if (map)
		site.offset = at - map->start + map->offset;
	maps__free(&maps);
	if (!map)
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%d/exe", getpid());
	return attach_calls(ctx, u, path, pid, &site, 1);
}

/* ---- life */

static int prepare_programs(struct tls *t)
{
	struct tls_bpf *s = t->skel;
	bool session = t->how == UPROBE_SESSION;
	bool sends = libbpf_find_vmlinux_btf_id("sock_send_length", BPF_TRACE_RAW_TP) > 0;
	int err;

	bpf_program__set_autoload(s->progs.tls_session, session);
	bpf_program__set_autoload(s->progs.tls_enter, !session);
	bpf_program__set_autoload(s->progs.tls_return, !session);
	/* Since Linux 6.3; without it a connection's socket is known by its first read. */
	bpf_program__set_autoload(s->progs.tls_send, sends);
	err = uprobes__prepare(s->progs.tls_session, UPROBE_SESSION, UPROBE_BOTH);
	err = err ? err : uprobes__prepare(s->progs.tls_enter, t->how, UPROBE_ENTRY);
	err = err ? err : uprobes__prepare(s->progs.tls_return, t->how, UPROBE_RETURN);
	return err ? err : uprobes__prepare(s->progs.tls_end, t->how, UPROBE_ENTRY);
}

static int attach_sweep(struct tls *t)
{
	union bpf_iter_link_info info = {
		.map = {.map_fd = (uint32_t)bpf_map__fd(t->skel->maps.tls_conns)}};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	t->sweep = bpf_program__attach_iter(t->skel->progs.tls_sweep, &opts);
	return t->sweep ? 0
			: log_fail(-errno, "cannot attach the iterator of TLS connections: %s",
				   strerror(errno));
}

static int load(struct tls *t, const struct bpf_object *wire)
{
	int err;

	t->skel = tls_bpf__open();
	if (!t->skel)
		return log_fail(-errno, "cannot open the TLS programs: %s", strerror(errno));
	err = shared__use(t->skel->obj, wire);
	err = err ? err : prepare_programs(t);
	if (err)
		return err;
	err = tls_bpf__load(t->skel);
	if (err)
		return log_fail(err,
				"the kernel refused to load the TLS programs: %s; `--tls off` does "
				"without, and -v shows the verifier's words",
				strerror(-err));
	return attach_sweep(t);
}

static int learn_kernel(struct tls *t)
{
	int kills = seccomp__return_probes_kill(attach_check, probed, t);

	if (kills < 0)
		return log_fail(kills,
				"cannot probe a function of our own: %s; `hopscope doctor` tells "
				"what is in the way, `--tls off` does without",
				strerror(-kills));
	t->kills = kills;
	return 0;
}

int tls__open(struct tls **out, const struct wire_opts *opts, struct wire_names *names,
	      const struct bpf_object *wire)
{
	struct tls *t = calloc(1, sizeof(*t));
	int err;

	*out = NULL;
	if (!t)
		return log_fail(-ENOMEM, "out of memory");
	t->opts = opts;
	t->names = names;
	t->how = uprobes__best();
	err = load(t, wire);
	err = err ? err : learn_kernel(t);
	if (err) {
		tls__close(t);
		return err;
	}
	t->each = t->kills || opts->n_pids || opts->n_comms || opts->n_cgroups ||
		  opts->n_containers || opts->n_pods;
	*out = t;
	return 0;
}

int tls__attach(struct tls *t)
{
	struct bpf_program *progs[] = {t->skel->progs.tls_exec, t->skel->progs.tls_exit,
				       t->skel->progs.tls_recv, t->skel->progs.tls_send};
	int err;

	t->attached = true;
	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++) {
		if (bpf_program__fd(progs[i]) < 0)
			continue;
		t->links[i] = bpf_program__attach(progs[i]);
		if (!t->links[i]) {
			err = log_fail(-errno, "cannot attach %s: %s", bpf_program__name(progs[i]),
				       strerror(errno));
			tls__detach(t);
			return err;
		}
	}
	err = tls__look(t);
	if (err) {
		tls__detach(t);
		return log_fail(err, "cannot look through processes: %s", strerror(-err));
	}
	return 0;
}

void tls__detach(struct tls *t)
{
	tls__forget(t);
	for (size_t i = 0; i < sizeof(t->links) / sizeof(t->links[0]); i++) {
		bpf_link__destroy(t->links[i]);
		t->links[i] = NULL;
	}
	t->attached = false;
}

void tls__close(struct tls *t)
{
	if (!t)
		return;
	tls__detach(t);
	bpf_link__destroy(t->sweep);
	for (size_t i = 0; i < t->n_files; i++) {
		free(t->files[i].path);
		free(t->files[i].module);
	}
	free(t->files);
	tls_bpf__destroy(t->skel);
	free(t);
}

void tls__notice(struct tls *t)
{
	if (t->attached)
		tls__look_at_new(t);
}

int tls__sweep(struct tls *t)
{
	int fd = bpf_iter_create(bpf_link__fd(t->sweep));
	char buf[256];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf, sizeof(buf));
	} while (n > 0 || (n < 0 && errno == EINTR));
	close(fd);
	return n < 0 ? -errno : 0;
}

void tls__read(struct tls *t, struct snapshot *s)
{
	programs__read(t->skel->obj, s);
	s->tls = t->skel->bss->tls_stats;
	s->has_tls = true;
}

void tls__found(const struct tls *t, char *buf, size_t size)
{
	static const char *const how[] = {
		[UPROBE_PERF] = "a perf event for each probe",
		[UPROBE_MULTI] = "many in one link",
		[UPROBE_SESSION] = "entry and return in one session",
	};
	const char *first = "";
	size_t n = 0;

	for (size_t i = 0; i < t->n_files; i++) {
		if (!t->files[i].module)
			continue;
		if (!n++)
			first = t->files[i].path;
	}
	if (n)
		snprintf(buf, size, "uprobes: %s; found in %zu file%s: %.60s%s", how[t->how], n,
			 n == 1 ? "" : "s", first, n == 1 ? "" : " ...");
	else
		snprintf(buf, size, "uprobes: %s; no process has such a library mapped now",
			 how[t->how]);
}
