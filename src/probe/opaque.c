// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/opaque.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "probe/shared.h"
#include "opaque.skel.h"

struct opaque {
	struct opaque_bpf *skel;
	struct wire_names *names;
	struct bpf_link *destroy, *list;
};

static int attach_list(struct opaque *o)
{
	union bpf_iter_link_info info = {
		.map = {.map_fd = (uint32_t)bpf_map__fd(o->skel->maps.conns)}};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));

	o->list = bpf_program__attach_iter(o->skel->progs.opaque_list, &opts);
	return o->list ? 0
		       : log_fail(-errno, "cannot attach the iterator of sockets: %s",
				  strerror(errno));
}

static int load(struct opaque *o, const struct bpf_object *wire)
{
	int err;

	o->skel = opaque_bpf__open();
	if (!o->skel)
		return log_fail(-errno, "cannot open the opaque programs: %s", strerror(errno));
	err = shared__use(o->skel->obj, wire);
	if (err)
		return err;
	err = opaque_bpf__load(o->skel);
	if (err)
		return log_fail(err,
				"the kernel refused to load the programs for connections that "
				"cannot be read: %s; run with -v for the verifier's words",
				strerror(-err));
	return attach_list(o);
}

int opaque__open(struct opaque **out, struct wire_names *names, const struct bpf_object *wire)
{
	struct opaque *o = calloc(1, sizeof(*o));
	int err;

	*out = NULL;
	if (!o)
		return log_fail(-ENOMEM, "out of memory");
	o->names = names;
	err = load(o, wire);
	if (err) {
		opaque__close(o);
		return err;
	}
	*out = o;
	return 0;
}

int opaque__attach(struct opaque *o)
{
	o->destroy = bpf_program__attach(o->skel->progs.opaque_destroy);
	return o->destroy
		       ? 0
		       : log_fail(-errno, "cannot attach to tcp_destroy_sock: %s", strerror(errno));
}

void opaque__detach(struct opaque *o)
{
	bpf_link__destroy(o->destroy);
	o->destroy = NULL;
}

void opaque__close(struct opaque *o)
{
	if (!o)
		return;
	opaque__detach(o);
	bpf_link__destroy(o->list);
	opaque_bpf__destroy(o->skel);
	free(o);
}

static struct snapshot_opaque *entry(struct opaque *o, struct snapshot *s,
				     const struct opaque_key *key)
{
	struct snapshot_opaque *more;

	for (size_t i = 0; i < s->n_opaque; i++) {
		if (!memcmp(&s->opaque[i].key, key, sizeof(*key)))
			return &s->opaque[i];
	}
	more = realloc(s->opaque, (s->n_opaque + 1) * sizeof(*more));
	if (!more)
		return NULL;
	s->opaque = more;
	more += s->n_opaque++;
	memset(more, 0, sizeof(*more));
	more->key = *key;
	snprintf(more->container, sizeof(more->container), "%s",
		 wire_names__get(o->names, key->cgroup));
	return more;
}

static int read_closed(struct opaque *o, struct snapshot *s)
{
	int fd = bpf_map__fd(o->skel->maps.opaque_closed);
	struct opaque_key key, next;
	const void *prev = NULL;

	while (!bpf_map_get_next_key(fd, prev, &next)) {
		struct opaque_sum sum;
		struct snapshot_opaque *e;

		key = next;
		prev = &key;
		if (bpf_map_lookup_elem(fd, &key, &sum))
			continue;
		e = entry(o, s, &key);
		if (!e)
			return -ENOMEM;
		e->closed = sum;
	}
	return 0;
}

static int read_live(struct opaque *o, struct snapshot *s)
{
	int fd = bpf_iter_create(bpf_link__fd(o->list)), err = 0;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	struct opaque_record r;

	if (!f) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && fread(&r, sizeof(r), 1, f) == 1) {
		struct snapshot_opaque *e = entry(o, s, &r.key);

		if (!e) {
			err = -ENOMEM;
			break;
		}
		e->live.connections += r.sum.connections;
		e->live.bytes += r.sum.bytes;
		e->live.rtt_us += r.sum.rtt_us;
		e->live.rtt_n += r.sum.rtt_n;
		if (r.sum.rtt_max > e->live.rtt_max)
			e->live.rtt_max = r.sum.rtt_max;
	}
	fclose(f);
	return err;
}

/* Live ones first: one that ends in between is counted twice in this reading, never lost. */
int opaque__read(struct opaque *o, struct snapshot *s)
{
	int err = read_live(o, s);

	err = err ? err : read_closed(o, s);
	return err ? log_fail(err, "cannot read connections that are opaque: %s", strerror(-err))
		   : 0;
}
