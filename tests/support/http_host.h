/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The HTTP framer on the host: a connection of two directions that are fed segments, and the
 * messages that came out. The order of events within a message is checked as they come.
 */
#ifndef TESTS_HTTP_HOST_H
#define TESTS_HTTP_HOST_H

#include "stream_host.h"

struct http_unit;
static void http_io__event(struct stream_io *io, struct stream_run *r, struct http_unit *u);

#include "proto/http_stream.h"

struct http_msg {
	uint64_t pos;
	uint64_t head_end; /* 0: not complete */
	uint64_t end;	   /* 0: not complete */
	uint64_t path;
	uint32_t path_len;
	uint32_t seq;
	uint16_t status;
	uint8_t method;
	uint8_t version;
	uint8_t role;
	uint8_t paired;
	uint8_t fields;
	uint8_t line;
};

struct http_host {
	struct http_pair pair;
	struct http_dir dir[2];
	struct stream_io io[2];
	struct stream_run *run;
	struct http_unit unit;
	struct http_msg *msg[2];
	size_t n[2];
	size_t room[2];
	uint32_t opaque; /* events */
};

static void http_io__event(struct stream_io *io, struct stream_run *r, struct http_unit *u)
{
	struct http_host *h = io->owner;
	int dir = io == &h->io[1];
	uint64_t here = stream_host__pos(io, r, r->pos);
	struct http_msg *m = h->n[dir] ? &h->msg[dir][h->n[dir] - 1] : NULL;

	if (u->what == HTTP_ON_OPAQUE) {
		HOST_MUST(h->pair.opaque);
		h->opaque++;
		return;
	}
	if (u->what == HTTP_ON_BEGIN) {
		/* One that came to nothing is forgotten. */
		if (!m || m->line) {
			if (h->n[dir] == h->room[dir]) {
				h->room[dir] = h->room[dir] ? 2 * h->room[dir] : 64;
				h->msg[dir] = realloc(h->msg[dir], h->room[dir] * sizeof(*m));
				HOST_MUST(h->msg[dir]);
			}
			m = &h->msg[dir][h->n[dir]++];
		}
		memset(m, 0, sizeof(*m));
		m->pos = here;
		return;
	}
	HOST_MUST(m && !m->end);
	HOST_MUST(u->m_role == h->dir[dir].role && u->m_role != HTTP_ROLE_UNKNOWN);
	switch (u->what) {
	case HTTP_ON_LINE:
		HOST_MUST(!m->line && here == m->pos);
		m->line = 1;
		m->role = u->m_role;
		m->method = u->m_method;
		m->version = u->m_version;
		m->status = u->m_status;
		m->seq = u->seq;
		m->paired = u->paired;
		if (u->m_role == HTTP_REQUEST) {
			m->path = stream_host__pos(io, r, u->path);
			m->path_len = u->path_len;
			HOST_MUST(u->path + u->path_len <= r->end);
			HOST_MUST(!memcmp(r->win + u->path, io->stream + m->path, u->path_len));
		}
		break;
	case HTTP_ON_FIELD:
		HOST_MUST(m->line && !m->head_end);
		HOST_MUST(u->value + u->value_len < r->end);
		HOST_MUST(!memcmp(r->win + u->value, io->stream + stream_host__pos(io, r, u->value),
				  u->value_len));
		m->fields++;
		break;
	case HTTP_ON_HEAD:
		HOST_MUST(m->line && !m->head_end);
		HOST_MUST(m->pos + u->head == here && u->bytes == u->head);
		m->head_end = here;
		break;
	case HTTP_ON_END:
		HOST_MUST(m->head_end && m->pos + u->bytes == here);
		HOST_MUST(m->head_end == m->pos + u->head);
		m->end = here;
		break;
	default: HOST_MUST(0);
	}
	HOST_MUST(m->seq == u->seq && m->status == u->m_status && m->method == u->m_method);
}

static inline void http_host__open(struct http_host *h, const uint8_t *from, const uint8_t *to)
{
	memset(h, 0, sizeof(*h));
	h->run = calloc(1, sizeof(*h->run));
	HOST_MUST(h->run);
	h->io[0].stream = from;
	h->io[1].stream = to;
	h->io[0].owner = h->io[1].owner = h;
}

static inline void http_host__close(struct http_host *h)
{
	free(h->run);
	free(h->msg[0]);
	free(h->msg[1]);
	memset(h, 0, sizeof(*h));
}

/* Feeds len (> 0) bytes of a direction's stream at `at`, as one segment. */
static inline void http_host__feed(struct http_host *h, int dir, uint64_t at, uint32_t len)
{
	struct http_feed f = {.run = h->run,
			      .dir = &h->dir[dir],
			      .pair = &h->pair,
			      .unit = &h->unit,
			      .io = &h->io[dir]};

	stream_host__before(&h->io[dir], h->run, at, len);
	memset(&h->unit, 0x5a, sizeof(h->unit));
	http_feed(&f, len);
	stream_host__after(&h->io[dir], h->run, &h->dir[dir].s);
}

static inline int http_host__miss(struct http_host *h, int dir, uint32_t n)
{
	struct http_dir *d = &h->dir[dir];
	uint16_t kept = d->s.kept;
	int synced = d->s.sync == STREAM_SYNCED;

	if (!http_dir__gap(d, &h->pair, n))
		return 0;
	stream_host__missed(&h->io[dir], kept, synced);
	return 1;
}

#endif
