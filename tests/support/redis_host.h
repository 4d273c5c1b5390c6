/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Redis framer on the host: a connection that is fed segments, and the units that came out. */
#ifndef TESTS_REDIS_HOST_H
#define TESTS_REDIS_HOST_H

#include "stream_host.h"

struct redis_unit;
static void redis_io__event(struct stream_io *io, struct stream_run *r, struct redis_unit *u);

#include "proto/redis_stream.h"

struct redis_msg {
	uint64_t pos;
	uint64_t end; /* 0: not complete */
	char name[REDIS_NAME_MAX + 1];
	char sub[REDIS_SUB_MAX + 1];
	uint8_t top, class, error, push, queued, paired, role;
	uint32_t seq;
	uint32_t args;
};

struct redis_host {
	struct redis_pair pair;
	struct redis_dir dir[2];
	struct stream_io io[2];
	struct stream_run *run;
	struct redis_unit unit;
	struct redis_msg *msg[2];
	size_t n[2];
	size_t room[2];
};

static void redis_io__event(struct stream_io *io, struct stream_run *r, struct redis_unit *u)
{
	struct redis_host *h = io->owner;
	int dir = io == &h->io[1];
	struct redis_msg *m = h->n[dir] ? &h->msg[dir][h->n[dir] - 1] : NULL;

	if (u->what == REDIS_ON_BEGIN) {
		if (!m || m->end) {
			if (h->n[dir] == h->room[dir]) {
				h->room[dir] = h->room[dir] ? 2 * h->room[dir] : 64;
				h->msg[dir] = realloc(h->msg[dir], h->room[dir] * sizeof(*m));
				HOST_MUST(h->msg[dir]);
			}
			m = &h->msg[dir][h->n[dir]++];
		}
		memset(m, 0, sizeof(*m));
		m->pos = stream_host__pos(io, r, r->pos);
		return;
	}
	HOST_MUST(u->what == REDIS_ON_END && m && !m->end);
	m->end = stream_host__pos(io, r, r->pos);
	HOST_MUST(m->pos + u->bytes == m->end);
	HOST_MUST(u->role == h->dir[dir].role && u->role != REDIS_ROLE_UNKNOWN);
	memcpy(m->name, &u->name, REDIS_NAME_MAX);
	memcpy(m->sub, &u->sub, REDIS_SUB_MAX);
	m->top = u->top;
	m->class = u->class;
	m->error = u->error;
	m->push = u->push;
	m->queued = u->queued;
	m->paired = u->paired;
	m->role = u->role;
	m->seq = u->seq;
	m->args = u->args;
}

static inline void redis_host__open(struct redis_host *h, const uint8_t *from, const uint8_t *to)
{
	memset(h, 0, sizeof(*h));
	h->run = calloc(1, sizeof(*h->run));
	HOST_MUST(h->run);
	h->io[0].stream = from;
	h->io[1].stream = to;
	h->io[0].owner = h->io[1].owner = h;
}

static inline void redis_host__close(struct redis_host *h)
{
	free(h->run);
	free(h->msg[0]);
	free(h->msg[1]);
	memset(h, 0, sizeof(*h));
}

/* Feeds len (> 0) bytes of a direction's stream at `at`, as one segment. */
static inline void redis_host__feed(struct redis_host *h, int dir, uint64_t at, uint32_t len)
{
	struct redis_feed f = {.run = h->run,
			       .dir = &h->dir[dir],
			       .pair = &h->pair,
			       .unit = &h->unit,
			       .io = &h->io[dir]};

	stream_host__before(&h->io[dir], h->run, at, len);
	memset(&h->unit, 0x5a, sizeof(h->unit));
	redis_feed(&f, len);
	stream_host__after(&h->io[dir], h->run, &h->dir[dir].s);
}

static inline int redis_host__miss(struct redis_host *h, int dir, uint32_t n)
{
	struct redis_dir *d = &h->dir[dir];
	uint16_t kept = d->s.kept;
	int synced = d->s.sync == STREAM_SYNCED;

	if (!redis_dir__gap(d, &h->pair, n))
		return 0;
	stream_host__missed(&h->io[dir], kept, synced);
	return 1;
}

#endif
