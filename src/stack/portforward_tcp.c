// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What TCP says about the connections of each way. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/file.h"
#include "stack/portforward_internal.h"
#include "stack/sockets.h"

struct list {
	struct socket_info *sockets;
	size_t n, room;
};

static int add(void *ctx, const struct socket_info *s)
{
	struct list *l = ctx;

	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 256;
		struct socket_info *sockets = realloc(l->sockets, room * sizeof(*sockets));

		if (!sockets)
			return -ENOMEM;
		l->sockets = sockets;
		l->room = room;
	}
	l->sockets[l->n++] = *s;
	return 0;
}

static int read_sockets(const struct netns *ns, struct list *l)
{
	int back;
	int err = netns__enter(ns, &back);

	if (err)
		return err;
	err = sockets__each(add, l);
	netns__leave(back);
	return err;
}

static bool is_address(const uint8_t address[16], const char *text)
{
	uint8_t want[16] = {[10] = 0xff, [11] = 0xff};

	return inet_pton(AF_INET, text, want + 12) == 1 && !memcmp(address, want, sizeof(want));
}

static void count(struct pf_leg_end *end, const struct socket_info *s)
{
	uint64_t ns = (uint64_t)s->srtt_us * 1000;

	end->connections++;
	end->segments += s->segments;
	end->retransmits += s->retransmits;
	if (!ns)
		return;
	if (!end->with_rtt || ns < end->srtt_min_ns)
		end->srtt_min_ns = ns;
	if (ns > end->srtt_max_ns)
		end->srtt_max_ns = ns;
	end->srtt_mean_ns += ns; /* a sum until divide() */
	end->with_rtt++;
}

static void divide(struct pf_leg_end *end)
{
	if (end->with_rtt)
		end->srtt_mean_ns /= end->with_rtt;
}

/* dnat changes the address and the port that were called, not the caller's. */
static bool is_other_end(const struct socket_info *front, const struct socket_info *back)
{
	return back->remote_port == front->local_port &&
	       !memcmp(back->remote, front->local, sizeof(back->remote));
}

/* A connection of the leg, by its front end; its back end is looked for. */
static void count_both(struct pf_leg *leg, const struct socket_info *front,
		       const struct list *backs)
{
	size_t i;

	count(&leg->front, front);
	for (i = 0; i < backs->n; i++)
		if (is_other_end(front, &backs->sockets[i])) {
			count(&leg->back, &backs->sockets[i]);
			return;
		}
}

static bool goes_to(const struct pf_stack *s, const struct pf_route *r, const struct socket_info *c)
{
	size_t i;

	for (i = 0; i < pf_stack__servers(s); i++)
		if (c->remote_port == r->to[i].port && is_address(c->remote, r->to[i].host))
			return true;
	return false;
}

static bool is_of(const struct pf_route *r, enum pf_place place, const struct socket_info *c)
{
	size_t i;

	for (i = 0; i < r->n_relays; i++)
		if (r->relays[i].place == place && r->relays[i].cgroup.id == c->cgroup)
			return true;
	return false;
}

static const char *program_at(const struct pf_route *r, enum pf_place place)
{
	size_t i;

	for (i = 0; i < r->n_relays; i++)
		if (r->relays[i].place == place)
			return r->relays[i].program;
	return NULL;
}

/* Its own connections to what comes next, of a relay at `place`. */
static void count_onward(const struct pf_route *r, enum pf_place place, const char *next,
			 const struct list *here, const struct list *there, struct pf_leg *leg)
{
	size_t i;

	for (i = 0; i < here->n; i++) {
		const struct socket_info *c = &here->sockets[i];

		if (is_of(r, place, c) && is_address(c->remote, next))
			count_both(leg, c, there);
	}
}

static void name_leg(struct pf_leg *leg, const char *from, const char *to)
{
	snprintf(leg->from, sizeof(leg->from), "%s", from);
	snprintf(leg->to, sizeof(leg->to), "%s", to);
}

static size_t find_legs(const struct pf_stack *s, const struct pf_route *r,
			const struct list l[PF_PLACES], struct pf_leg legs[PF_MAX_LEGS])
{
	const char *near = program_at(r, PF_FORWARDER), *far = program_at(r, PF_CLUSTER);
	const struct list *clients = &l[PF_CLIENT];
	size_t i, n = 1;

	name_leg(&legs[0], "client", near ? near : "cluster");
	for (i = 0; i < clients->n; i++)
		if (goes_to(s, r, &clients->sockets[i]))
			count_both(&legs[0], &clients->sockets[i],
				   near ? &l[PF_FORWARDER] : &l[PF_CLUSTER]);
	if (near) {
		name_leg(&legs[n], near, far ? far : "cluster");
		count_onward(r, PF_FORWARDER, PF_SERVER_ADDR, &l[PF_FORWARDER], &l[PF_CLUSTER],
			     &legs[n++]);
	}
	if (far) {
		name_leg(&legs[n], far, "cluster");
		count_onward(r, PF_CLUSTER, "127.0.0.1", &l[PF_CLUSTER], &l[PF_CLUSTER],
			     &legs[n++]);
	}
	return n;
}

int pf_stack__legs(const struct pf_stack *s, enum pf_way way, struct pf_leg legs[PF_MAX_LEGS],
		   size_t *n)
{
	struct list l[PF_PLACES] = {{0}};
	size_t i;
	int err = 0;

	memset(legs, 0, PF_MAX_LEGS * sizeof(legs[0]));
	*n = 0;
	for (i = 0; i < PF_PLACES && !err; i++)
		err = read_sockets(&s->ns[i], &l[i]);
	if (!err)
		*n = find_legs(s, &s->routes[way], l, legs);
	for (i = 0; i < *n; i++) {
		divide(&legs[i].front);
		divide(&legs[i].back);
	}
	for (i = 0; i < PF_PLACES; i++)
		free(l[i].sockets);
	return err;
}

/* "Tcp: InSegs ..." names the columns, the next "Tcp:" line has their values. */
static int find_value(const char *text, const char *name, uint64_t *value)
{
	const char *names = strstr(text, "Tcp:");
	const char *values = names ? strstr(names + 4, "Tcp:") : NULL;
	size_t len = strlen(name);

	while (values && names < values) {
		names += strcspn(names, " \n");
		values += strcspn(values, " \n");
		if (*names != ' ' || *values != ' ')
			break;
		names++;
		values++;
		if (strncmp(names, name, len) != 0 || (names[len] != ' ' && names[len] != '\n'))
			continue;
		*value = strtoull(values, NULL, 10);
		return 0;
	}
	return -EPROTO;
}

int pf_stack__tcp(const struct pf_stack *s, enum pf_place place, struct pf_tcp *tcp)
{
	char text[4096];
	int back;
	int err = netns__enter(&s->ns[place], &back);

	if (err)
		return err;
	/* Not /proc/net: that is of the process, not of this thread. */
	err = file__read("/proc/thread-self/net/snmp", text, sizeof(text));
	netns__leave(back);
	if (err < 0)
		return err;
	err = find_value(text, "InSegs", &tcp->in_segments);
	if (!err)
		err = find_value(text, "OutSegs", &tcp->out_segments);
	return err ? err : find_value(text, "RetransSegs", &tcp->retransmits);
}
