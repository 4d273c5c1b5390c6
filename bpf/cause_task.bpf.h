/* SPDX-License-Identifier: GPL-2.0-only */
/* Tasks and the requests they have in hand. See cause.bpf.h. */
#ifndef HOPSCOPE_CAUSE_TASK_BPF_H
#define HOPSCOPE_CAUSE_TASK_BPF_H

#include "cause_edge.bpf.h"
#include "cause_tell.bpf.h"

static __always_inline struct cause_actor *actor__of(const struct task_struct *t)
{
	__u32 pid = (__u32)t->pid;
	struct cause_actor *a;

	if (!*(volatile __u32 *)&cause_working)
		return NULL;
	a = bpf_map_lookup_elem(&cause_actors, &pid);
	return a && a->born == t->start_time ? a : NULL;
}

/* What new entries are: not on the stack, which is at its end here. */
/* As words: user space does not know the types. */
const volatile __u64 process_blank[sizeof(struct cause_process) / 8];
const volatile __u64 actor_blank[sizeof(struct cause_actor) / 8];

static __noinline struct cause_actor *actor__make(const struct task_struct *t)
{
	__u32 pid = (__u32)t->pid, tgid = (__u32)t->tgid;
	struct cause_actor *a;

	cause_working = 1;
	bpf_map_update_elem(&cause_processes, &tgid, (const void *)&process_blank, BPF_NOEXIST);
	if (bpf_map_update_elem(&cause_actors, &pid, (const void *)&actor_blank, BPF_ANY)) {
		cause__count(CAUSE_ACTORS_FULL);
		return NULL;
	}
	a = bpf_map_lookup_elem(&cause_actors, &pid);
	if (a) {
		a->born = t->start_time;
		a->tgid = tgid;
	}
	return a;
}

static __always_inline struct cause_turns *actor__turns(struct cause_actor *a)
{
	struct cause_process *p;
	__u32 tgid = a->tgid;

	if (a->turn == CAUSE_NO_TURN)
		return NULL;
	if (a->turn) {
		__u32 edge = a->turn;
		struct edge_val *v = bpf_map_lookup_elem(&edges, &edge);

		if (!v)
			return NULL;
		asm volatile("" : "+r"(v)); /* the check comes before the arithmetic */
		return (struct cause_turns *)v->turns;
	}
	p = bpf_map_lookup_elem(&cause_processes, &tgid);
	if (!p)
		return NULL;
	asm volatile("" : "+r"(p));
	return &p->requests;
}

/* The task takes another request in hand: how did the turn before end? */
static __always_inline void actor__turn(struct cause_actor *a, __u64 ref, __u32 turn,
					const struct task_struct *t)
{
	struct cause_turns *n;

	if (a->ref != ref || a->turn != turn) {
		n = a->ref > CAUSE_UNKNOWN ? actor__turns(a) : NULL;
		if (n) {
			n->all++;
			n->idle += !a->acted;
			if (n->all >= 1024) {
				n->all /= 2;
				n->idle /= 2;
			}
		}
		a->ref = ref;
		a->turn = turn;
		a->acted = 0;
	}
	a->slept = t->nvcsw;
}

/* Does this process put off what it has read (timers, queues), so that others' work follows? */
static __always_inline bool actor__defers(struct cause_actor *a)
{
	struct cause_turns *n = actor__turns(a);

	return n && n->all >= CAUSE_DEFER_IN && n->idle * CAUSE_DEFER_OF > n->all;
}

/* ---- requests */

/* The record of the request that the actor read last, made when there is none. */
__noinline int cause__adopt(struct cause_actor *a)
{
	struct cause_parent *p, *blank;
	__u32 zero = 0;
	__u64 ref;

	if (!a)
		return 0;
	ref = a->ref;
	p = bpf_map_lookup_elem(&cause_parents, &ref);
	if (p || a->read_ref != ref)
		return !!p;
	blank = bpf_map_lookup_elem(&cause_blank, &zero);
	if (!blank)
		return 0;
	if (bpf_map_update_elem(&cause_parents, &ref, blank, BPF_NOEXIST))
		cause__count(CAUSE_PARENTS_FULL);
	p = bpf_map_lookup_elem(&cause_parents, &ref);
	if (!p)
		return 0;
	p->t0 = a->t0;
	p->cgroup = a->cgroup;
	p->hop = a->hop;
	p->route = a->route;
	p->tgid = a->tgid;
	return 1;
}

/* An identifier of two open requests of a process is of use for neither. */
static __always_inline void cause__name(struct cause_actor *a, __u64 id)
{
	struct cause_id_key key = {.id = id, .tgid = a->tgid};
	__u64 *old = bpf_map_lookup_elem(&cause_ids, &key), ref = a->ref;

	if (old) {
		if (*old != ref)
			*old = CAUSE_UNKNOWN;
		return;
	}
	if (cause__adopt(a))
		bpf_map_update_elem(&cause_ids, &key, &ref, BPF_ANY);
}

/*
 * The oldest request of a connection that is not answered is in hand. False: there is none, or it
 * is too far back in a pipeline.
 */
__noinline int cause__take(struct conn *c, __u32 make)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct cause_actor *a = actor__of(t);
	__u32 seq, tgid = (__u32)t->tgid;
	struct cause_process *p;
	struct fifo_entry *e;
	__u64 word, ref;

	if (!c || (!a && !make))
		return 0;
	seq = c->cause.answered;
	e = &c->stream.first[seq & (FIFO_FIRST - 1)];
	word = *(volatile __u64 *)&e->word;
	ref = cause__ref(c, seq);
	if (c->cause.asked == seq || !word || fifo__tag_of(word) != fifo__tag(seq)) {
		if (a)
			actor__turn(a, CAUSE_UNKNOWN, CAUSE_NO_TURN, t);
		return 0;
	}
	if (!a)
		a = actor__make(t);
	if (!a)
		return 0;
	actor__turn(a, ref, 0, t);
	a->read_ref = ref;
	a->t0 = e->t0;
	a->cgroup = c->cgroup;
	if (targ_hops)
		a->hop = hop__id_at(c, true, c->stream.at[seq & (FIFO_FIRST - 1)]);
	a->route = fifo__route_of(word);
	if (c->cause.taken != (seq | CAUSE_TAKEN)) {
		c->cause.taken = seq | CAUSE_TAKEN;
		c->cause.reader = (__u32)t->pid;
		c->cause.reader_tgid = tgid;
		__sync_fetch_and_add(&a->open, 1);
		p = bpf_map_lookup_elem(&cause_processes, &tgid);
		if (p)
			__sync_fetch_and_add(&p->open, 1);
	}
	if (c->cause.id && c->cause.id_seq == seq)
		cause__name(a, c->cause.id);
	return 1;
}

static __always_inline void count__down(__u32 *n)
{
	if (*(volatile __u32 *)n)
		__sync_fetch_and_add(n, -1);
}

/* The identifier that the connection's request has is nobody's any more. */
static __always_inline void cause__unname(struct conn *c)
{
	struct cause_id_key id = {.id = c->cause.id, .tgid = c->cause.reader_tgid};
	__u64 ref = cause__ref(c, c->cause.id_seq), *named;

	named = bpf_map_lookup_elem(&cause_ids, &id);
	if (named && (*named == ref || *named == CAUSE_UNKNOWN))
		bpf_map_delete_elem(&cause_ids, &id);
	c->cause.id = 0;
}

/* A request that was in some task's hand has ended. */
static __always_inline void cause__release(struct conn *c, __u32 seq)
{
	__u32 pid = c->cause.reader, tgid = c->cause.reader_tgid;
	__u64 ref = cause__ref(c, seq);
	struct cause_process *p;
	struct cause_actor *a;

	if (c->cause.id && c->cause.id_seq == seq)
		cause__unname(c);
	if (c->cause.taken != (seq | CAUSE_TAKEN))
		return;
	c->cause.taken = 0;
	p = bpf_map_lookup_elem(&cause_processes, &tgid);
	if (p)
		count__down(&p->open);
	a = bpf_map_lookup_elem(&cause_actors, &pid);
	if (!a || a->tgid != tgid)
		return;
	count__down(&a->open);
	__sync_val_compare_and_swap(&a->ref, ref, 0);
}

#endif
