// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What was found about cgroups, kept by path. Where it is looked for: container_names.c. */
#include "probe/container.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "probe/container_names.h"
#include "probe/hostfs.h"

#define BUCKETS	    1024
#define ENTRIES_MAX 16384	  /* more: forget all and begin again */
#define AGAIN_MIN   (10000000ull) /* what was not found is looked for again after a quarter */
#define AGAIN_MAX   (60 * 1000000000ull) /* of the time since it was first asked for */
#define PREFIX_MIN  6			 /* digits of an id that mean it */

struct entry {
	struct entry *next;
	struct container c;
	bool found; /* nothing more to find out */
	uint64_t first_ns, again_ns;
	char path[];
};

struct containers {
	int root; /* negative: there is none, and paths alone must do */
	struct entry *bucket[BUCKETS];
	size_t n;
	struct runc_index runc;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct containers *containers__open(const char *host_root)
{
	struct containers *c = calloc(1, sizeof(*c));

	if (c)
		c->root = hostfs__open_root(host_root);
	return c;
}

static void forget(struct containers *c)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		while (c->bucket[i]) {
			struct entry *e = c->bucket[i];

			c->bucket[i] = e->next;
			free(e);
		}
	}
	c->n = 0;
}

void containers__close(struct containers *c)
{
	if (!c)
		return;
	forget(c);
	runc_index__free(&c->runc);
	if (c->root >= 0)
		close(c->root);
	free(c);
}

/* FNV-1a */
static size_t bucket_of(const char *path)
{
	uint32_t h = 2166136261u;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 16777619u;
	return (h ^ h >> 16) % BUCKETS;
}

/* True: all that there is to know. A name may come up later, and so may a container of runc's. */
static bool look_up(struct containers *cs, const char *path, struct container *c)
{
	bool whole = container__parse(path, c), known;

	if (cs->root < 0)
		return true;
	if (c->id[0]) {
		known = container_names__of_id(cs->root, c);
		if (c->pod_uid[0] && !c->namespace_[0])
			container_names__of_pod(cs->root, c);
		return known;
	}
	if (c->pod_uid[0])
		return container_names__of_pod(cs->root, c);
	return runc_index__find(&cs->runc, cs->root, path, c) ||
	       (!c->runtime[0] && container_names__of_path(cs->root, path, c)) || whole ||
	       strcmp(path, "/") == 0;
}

static struct entry *find(struct containers *cs, const char *path, size_t at)
{
	for (struct entry *e = cs->bucket[at]; e; e = e->next) {
		if (strcmp(e->path, path) == 0)
			return e;
	}
	return NULL;
}

static struct entry *add(struct containers *cs, const char *path, size_t at)
{
	struct entry *e;

	if (cs->n >= ENTRIES_MAX)
		forget(cs);
	e = calloc(1, sizeof(*e) + strlen(path) + 1);
	if (!e)
		return NULL;
	strcpy(e->path, path);
	e->first_ns = now_ns();
	e->next = cs->bucket[at];
	cs->bucket[at] = e;
	cs->n++;
	return e;
}

static uint64_t pause_after(uint64_t age_ns)
{
	uint64_t pause = age_ns / 4;

	return pause < AGAIN_MIN ? AGAIN_MIN : pause > AGAIN_MAX ? AGAIN_MAX : pause;
}

void containers__resolve(struct containers *cs, const char *path, struct container *out)
{
	size_t at = bucket_of(path);
	struct entry *e = find(cs, path, at);
	uint64_t now;

	if (e && e->found) {
		*out = e->c;
		return;
	}
	e = e ? e : add(cs, path, at);
	if (!e) { /* out of memory: the path alone */
		container__parse(path, out);
		return;
	}
	now = now_ns();
	if (now >= e->again_ns) {
		e->found = look_up(cs, path, &e->c);
		e->again_ns = now + pause_after(now - e->first_ns);
	}
	*out = e->c;
}

static bool is_prefix(const char *s, const char *wanted)
{
	size_t n = strlen(wanted);

	return n >= PREFIX_MIN && strncmp(s, wanted, n) == 0;
}

bool container__matches(const struct container *c, const char *path, const char *wanted)
{
	char label[512];

	if (!*wanted)
		return false;
	container__label(c, path, label, sizeof(label));
	return strstr(path, wanted) || strstr(c->name, wanted) || strstr(label, wanted) ||
	       is_prefix(c->id, wanted);
}

bool container__in_pod(const struct container *c, const char *wanted)
{
	char full[sizeof(c->namespace_) + sizeof(c->pod) + 1];

	if (!*wanted || !c->pod[0])
		return false;
	snprintf(full, sizeof(full), "%s%s%s", c->namespace_, c->namespace_[0] ? "/" : "", c->pod);
	return strstr(full, wanted) || is_prefix(c->pod_uid, wanted);
}
