// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define _GNU_SOURCE
#include "probe/wire_names.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "log.h"
#include "probe/cgroup2.h"
#include "probe/container.h"

/* Runtimes write names down within moments; then the path alone decides. */
#define NAME_WAIT_NS (5 * 1000000000ull)

/* bpf/named.bpf.h */
enum verdict { VERDICT_PASS = 1, VERDICT_STOP = 2 };

struct known {
	uint64_t id;
	char path[SNAPSHOT_CONTAINER_LEN];
	char label[SNAPSHOT_CONTAINER_LEN];
};

struct waiting {
	uint64_t id, since_ns;
};

struct wire_names {
	const struct wire_opts *opts;
	struct containers *containers; /* NULL: paths are the names */
	struct known *known;	       /* cgroups with traffic; asked once each */
	size_t n_known;
	struct waiting *waiting; /* new cgroups without a verdict */
	size_t n_waiting;
	int verdicts_fd, undecided_fd;
	uint32_t matched; /* bits: --container arguments, then --pod arguments, that met something
			   */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct wire_names *wire_names__open(const struct wire_opts *o)
{
	struct wire_names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->opts = o;
	n->verdicts_fd = n->undecided_fd = -1;
	if (o->names || o->n_containers || o->n_pods) {
		n->containers = containers__open(o->host_root);
		if (!n->containers) {
			free(n);
			return NULL;
		}
	}
	return n;
}

void wire_names__close(struct wire_names *n)
{
	if (!n)
		return;
	containers__close(n->containers);
	free(n->known);
	free(n->waiting);
	free(n);
}

static struct known *learn(struct wire_names *n, uint64_t id)
{
	struct known *more;

	for (size_t i = 0; i < n->n_known; i++) {
		if (n->known[i].id == id)
			return &n->known[i];
	}
	more = realloc(n->known, (n->n_known + 1) * sizeof(*more));
	if (!more)
		return NULL;
	n->known = more;
	more += n->n_known++;
	more->id = id;
	cgroup2__path(id, more->path, sizeof(more->path));
	return more;
}

const char *wire_names__get(struct wire_names *n, uint64_t id)
{
	struct container c;
	struct known *k;

	if (id <= 1) /* the root's id; 0 is the "(other)" series */
		return id ? "/" : "?";
	k = learn(n, id);
	if (!k)
		return "?";
	if (!n->opts->names || k->path[0] != '/')
		return k->path;
	/* Asked again each time: a name may come up later. What is known costs a look-up. */
	containers__resolve(n->containers, k->path, &c);
	container__label(&c, k->path, k->label, sizeof(k->label));
	return k->label;
}

static bool passes(struct wire_names *n, const char *path, const struct container *c)
{
	const struct wire_opts *o = n->opts;
	bool name = !o->n_containers, pod = !o->n_pods;

	for (size_t i = 0; i < o->n_containers; i++) {
		if (!container__matches(c, path, o->containers[i]))
			continue;
		n->matched |= 1u << i;
		name = true;
	}
	for (size_t i = 0; i < o->n_pods; i++) {
		if (!container__in_pod(c, o->pods[i]))
			continue;
		n->matched |= 1u << (WIRE_MAX_FILTER + i);
		pod = true;
	}
	return name && pod;
}

bool wire_names__pass(struct wire_names *n, const char *path)
{
	struct container c;

	if (!n->containers)
		return true;
	containers__resolve(n->containers, path, &c);
	return passes(n, path, &c);
}

/* False: not yet, its name may still come up. */
static bool decide(struct wire_names *n, uint64_t id, const char *path, bool last)
{
	uint32_t verdict = VERDICT_STOP;
	struct container c;

	containers__resolve(n->containers, path, &c);
	if (passes(n, path, &c))
		verdict = VERDICT_PASS;
	else if (!last && !container__is_named(&c) && strcmp(c.runtime, "systemd") != 0)
		return false;
	bpf_map_update_elem(n->verdicts_fd, &id, &verdict, BPF_ANY);
	return true;
}

static struct wire_names *walker; /* nftw() takes no context */

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	uint32_t stop = VERDICT_STOP;
	uint64_t id = st->st_ino;

	if (type != FTW_D)
		return 0;
	if (ftw->level)
		decide(walker, id, path + strlen(cgroup2__mount()), true);
	else
		bpf_map_update_elem(walker->verdicts_fd, &id, &stop, BPF_ANY);
	return 0;
}

static void warn_unmatched(const struct wire_names *n)
{
	const struct wire_opts *o = n->opts;

	for (size_t i = 0; i < o->n_containers; i++) {
		if (!(n->matched & 1u << i))
			log_warn("--container %s: no cgroup below %s has that in its name yet; "
				 "waiting for one",
				 o->containers[i], cgroup2__mount());
	}
	for (size_t i = 0; i < o->n_pods; i++) {
		if (!(n->matched & 1u << (WIRE_MAX_FILTER + i)))
			log_warn("--pod %s: no cgroup below %s belongs to such a pod yet; waiting "
				 "for one (are the host's files at --host-root?)",
				 o->pods[i], cgroup2__mount());
	}
}

int wire_names__filter(struct wire_names *n, int verdicts_fd, int undecided_fd)
{
	n->verdicts_fd = verdicts_fd;
	n->undecided_fd = undecided_fd;
	walker = n;
	if (nftw(cgroup2__mount(), visit, 16, FTW_PHYS) < 0)
		return log_fail(-errno, "cannot look through %s: %s", cgroup2__mount(),
				strerror(errno));
	warn_unmatched(n);
	return 0;
}

/* True: nothing more to do for it. */
static bool settle(struct wire_names *n, const struct waiting *w, uint64_t now)
{
	char path[SNAPSHOT_CONTAINER_LEN];

	if (cgroup2__path(w->id, path, sizeof(path))) {
		/* Gone; one that could not be seen now is asked for again by its next segment. */
		bpf_map_delete_elem(n->verdicts_fd, &w->id);
		return true;
	}
	return decide(n, w->id, path, now - w->since_ns > NAME_WAIT_NS);
}

void wire_names__notice(struct wire_names *n)
{
	uint64_t now, id;
	size_t kept = 0;

	if (n->undecided_fd < 0)
		return;
	now = now_ns();
	while (!bpf_map_lookup_and_delete_elem(n->undecided_fd, NULL, &id)) {
		struct waiting *more =
			realloc(n->waiting, (n->n_waiting + 1) * sizeof(*n->waiting));

		if (!more) {
			bpf_map_delete_elem(n->verdicts_fd, &id);
			break;
		}
		n->waiting = more;
		n->waiting[n->n_waiting++] = (struct waiting){id, now};
	}
	for (size_t i = 0; i < n->n_waiting; i++) {
		if (!settle(n, &n->waiting[i], now))
			n->waiting[kept++] = n->waiting[i];
	}
	n->n_waiting = kept;
}
