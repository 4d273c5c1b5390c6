// SPDX-License-Identifier: GPL-2.0-only
/*
 * heap --allocs: who holds what the allocator gave out. Probes on the allocator's functions; what a
 * function does is in the probe's cookie (include/heap.h). A free is taken at entry, before the
 * address can be given out again; an allocation at return. Calls nested in another call of the
 * allocator (calloc in malloc) are part of it.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "arch.bpf.h"
#include "heap_record.h"
#include "heap_sample.h"
#include "heap_table.bpf.h"
#include "task_stack.bpf.h"
#include "unwind.bpf.h"

#define SIGNED_MAX 0x7fffffffffffffffull
#define ADDRESSES  (1ull << 47) /* of a process, with four levels of page tables */

const volatile __u64 targ_rate = 0; /* mean bytes between samples; 0: every allocation */
const volatile __u64 targ_throw_limit = ~0ull;
const volatile struct heap_sample_tables targ_tables = {};

/* The outermost call of the allocator that a thread is in. */
enum call_state {
	CALL_NONE = 0,
	CALL_FOLLOWED = 1, /* its return will be seen */
	CALL_PASSED = 2,   /* not sampled: with session probes its return is not seen */
};

struct heap_call {
	__u64 sp;     /* at its entry */
	__u64 caller; /* the return address, of those that may jump to others; else 0 */
	__u64 pc;     /* entry of the function */
	__u64 size;
	__u64 argument;	       /* block of realloc, pointer of posix_memalign */
	__u64 trampoline;      /* what stood in the place of the return address, when we looked */
	__u64 gap;	       /* bytes to the next sample */
	struct heap_block old; /* of realloc, taken out of the table */
	__u32 life;
	__u16 func;
	__u8 state;
	__u8 sampled;
	__u8 had_old;
	__u8 role;
	__u8 pad[6];
};

/* Goes with its thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct heap_call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* life */
	__type(value, struct heap_ranges);
} ranges SEC(".maps");

static __always_inline struct heap_process *current_process(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&processes, &tgid);
}

/* ---- nesting */

static bool in_allocator(__u32 life, __u64 pc)
{
	struct heap_ranges *r = bpf_map_lookup_elem(&ranges, &life);

	if (!r)
		return false;
	for (__u32 i = 0; i < HEAP_MAX_RANGES && i < r->n; i++) {
		if (pc - r->range[i].start < r->range[i].end - r->range[i].start)
			return true;
	}
	return false;
}

/* Does a return probe wait for the end of the call in *c, which is at this one's place or above? */
#if defined(__TARGET_ARCH_x86)
static __always_inline bool call__waits(struct heap_call *c, struct pt_regs *ctx)
{
	struct heap_process *p;
	__u64 now;

	(void)ctx;
	if (bpf_probe_read_user(&now, sizeof(now), (void *)c->sp))
		return false;
	p = current_process();
	if (p && p->trampoline)
		return now == p->trampoline;
	c->trampoline = now;
	return true;
}
#else
/* Its return address may be anywhere in its frame: the kernel's list of what it put aside tells. */
static __always_inline bool call__waits(const struct heap_call *c, struct pt_regs *ctx)
{
	const struct task_struct___unwind *task = (void *)bpf_get_current_task_btf();
	struct return_instance___unwind *ri = returns__first(task);
	__u64 from;
	__u32 i;

	if (c->sp == PT_REGS_SP(ctx)) /* by a jump, or a call after it */
		return ri && !arch__caller(ctx, 0, &from) && from == returns__trampoline(task);
	for (i = 0; i < STACK_RETURNS && ri; i++) {
		if (ri->stack >= c->sp)
			return ri->stack == c->sp;
		ri = ri->next;
	}
	return false;
}
#endif

/*
 * Is the call in *c still under way, and this one part of it? Stacks grow down: what is above has
 * been left, by a return that we did not ask for, longjmp or an exception. What is below may still
 * be after it. A return probe that waits tells. Where there is no return probe, a call that comes
 * from the allocator is part of one; and one at the same place with the same return address, of a
 * function that may jump to others.
 */
static __always_inline bool call__nested(struct heap_call *c, struct pt_regs *ctx, bool session,
					 __u32 func)
{
	__u64 from, sp = PT_REGS_SP(ctx), passed = session && c->state == CALL_PASSED;

	if (sp > c->sp || (passed && sp == c->sp && (func == c->func || !c->caller)))
		return false;
	if (!passed)
		return call__waits(c, ctx);
	if (arch__caller(ctx, 0, &from))
		return false;
	/* By a jump; by a call. */
	return sp == c->sp ? from == c->caller : in_allocator(c->life, from);
}

/* ---- entry */

/* n * size as the allocator sees it: what overflows fails there. */
static __always_inline __u64 product(__u64 n, __u64 size)
{
	if (size && n > SIGNED_MAX / size)
		return SIGNED_MAX;
	return n * size;
}

/* The compiler would choose between the registers by their place in *ctx, which may not move. */
#define KEEP(var) asm volatile("" : "+r"(var))

static __always_inline void call__arguments(struct heap_call *c, struct pt_regs *ctx, __u64 cookie)
{
	__u64 first = PT_REGS_PARM1(ctx), second = PT_REGS_PARM2(ctx), third = PT_REGS_PARM3(ctx);

	KEEP(first);
	KEEP(second);
	KEEP(third);
	c->argument = first;
	switch (c->role) {
	case HEAP_CALLOC: c->size = product(first, second); break;
	case HEAP_REALLOC: c->size = second; break;
	case HEAP_REALLOCARRAY: c->size = product(second, third); break;
	case HEAP_POSIX: c->size = third; break;
	default: c->size = HEAP_COOKIE_ARG(cookie) == 1 ? first : second;
	}
}

static __always_inline bool call__sample(struct heap_call *c)
{
	if (!targ_rate)
		return true;
	if (!c->gap)
		c->gap = 1 + sample__gap(&targ_tables, bpf_get_prandom_u32(), targ_rate);
	if (c->gap > c->size) {
		c->gap -= c->size;
		return false;
	}
	c->gap = 0; /* the process has no memory: what comes after is drawn anew */
	return true;
}

/*
 * realloc takes its block out at once: its address may be another thread's before we see the
 * return. When it fails the block is put back.
 */
static __always_inline void call__take_old(struct heap_call *c, struct heap_acct *a)
{
	c->had_old = 0;
	if ((c->role != HEAP_REALLOC && c->role != HEAP_REALLOCARRAY) || !c->argument)
		return;
	if (block__remove(a, c->life, c->argument, &c->old))
		c->had_old = 1;
}

/* True: the return is to be seen. */
static __always_inline bool heap__enter(struct pt_regs *ctx, struct heap_acct *a, __u64 cookie,
					bool session)
{
	__u32 func = HEAP_COOKIE_FUNC(cookie);
	__u32 life = HEAP_COOKIE_LIFE(cookie);
	__u64 sp = PT_REGS_SP(ctx);
	struct heap_call *c;

	if (HEAP_COOKIE_ROLE(cookie) == HEAP_CALIBRATE)
		return true;
	if (!*(volatile __u32 *)&recording)
		return false;
	c = bpf_task_storage_get(&calls, bpf_get_current_task_btf(), NULL,
				 BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!c) {
		COUNT(a, pending_lost);
		return false;
	}
	if (c->state && c->life == life) {
		if (call__nested(c, ctx, session, func))
			return false;
		if (c->state == CALL_FOLLOWED)
			COUNT(a, pending_lost);
	}
	COUNT(a, allocs);
	c->life = life;
	c->sp = sp;
	c->pc = PT_REGS_IP(ctx) - HEAP_COOKIE_OFF(cookie);
	c->func = func;
	c->role = HEAP_COOKIE_ROLE(cookie);
	c->trampoline = 0;
	c->state = CALL_PASSED;
	call__arguments(c, ctx, cookie);
	c->sampled = call__sample(c);
	call__take_old(c, a);
	/* Reading the stack is a tenth of what a call costs: where it is of use only. */
	c->caller = 0;
	if (session && HEAP_COOKIE_JUMPS(cookie))
		arch__caller(ctx, 0, &c->caller);
	/* An exception cannot pass a return probe: where one is likely there is none. */
	if (session && HEAP_COOKIE_THROWS(cookie) && c->size > targ_throw_limit) {
		if (c->size < ADDRESSES) /* it may be given after all */
			COUNT(a, pending_lost);
		return false;
	}
	if (!c->sampled && !c->had_old)
		return false;
	c->state = CALL_FOLLOWED;
	return true;
}

/* ---- return */

static __always_inline void call__hold(struct heap_call *c, struct heap_acct *a,
				       struct pt_regs *ctx, __u64 address)
{
	struct unwind_start start = {
		.pc = PT_REGS_IP(ctx), .sp = PT_REGS_SP(ctx), .fp = PT_REGS_FP(ctx)};
	struct heap_site_key site = {.life = c->life, .func = c->func};
	struct heap_block_key key = {.address = address, .life = c->life};
	struct heap_block block = {.size = c->size, .born = *(volatile __u64 *)&clock_ns};
	struct heap_site_val *s;
	__u64 bytes = c->size, count = HEAP_BLOCK_UNIT;

	if (forked) {
		struct heap_process *p = current_process();

		block.forks = p ? p->forks : 0;
	}
	site.stack = stack__id(&start, bpf_get_current_pid_tgid() >> 32);
	block.site = site__id(&site, c->pc);
	if (!block.site)
		COUNT(a, sites_lost);
	if (targ_rate && c->size) {
		bytes = sample__weighted(&targ_tables, c->size, targ_rate);
		count = bytes * HEAP_BLOCK_UNIT / c->size;
	}
	s = site__at(block.site);
	if (s) {
		__sync_fetch_and_add(&s->total_bytes, bytes);
		__sync_fetch_and_add(&s->total_blocks, count);
	}
	block__insert(a, &key, &block);
}

/* The block that the call gave out, 0: it failed. */
static __always_inline __u64 call__result(const struct heap_call *c, struct pt_regs *ctx)
{
	__u64 block = 0;

	if (c->role != HEAP_POSIX)
		return PT_REGS_RC(ctx);
	/* It is not written when the call fails. */
	if ((__u32)PT_REGS_RC(ctx) ||
	    bpf_probe_read_user(&block, sizeof(block), (void *)c->argument))
		return 0;
	return block;
}

static __always_inline void heap__leave(struct pt_regs *ctx, struct heap_acct *a, __u64 cookie)
{
	struct heap_call *c;
	struct heap_process *p;
	__u64 address;

	if (HEAP_COOKIE_ROLE(cookie) == HEAP_CALIBRATE)
		return;
	c = bpf_task_storage_get(&calls, bpf_get_current_task_btf(), NULL, 0);
	/* Calls nested in another return to somewhere else. */
	if (!c || !c->state || ARCH_LEFT(c->sp) != PT_REGS_SP(ctx))
		return;
	if (HEAP_COOKIE_LIFE(cookie) != c->life) {
		c->state = CALL_NONE;
		return;
	}
	/* Seen while nested, and the call was under way indeed: that is what it looks like. */
	if (c->trampoline) {
		p = current_process();
		if (p && !p->trampoline)
			p->trampoline = c->trampoline;
	}
	if (c->state == CALL_FOLLOWED) {
		address = call__result(c, ctx);
		if (address) {
			if (c->sampled)
				call__hold(c, a, ctx, address);
		} else if (c->size || !c->had_old) {
			struct heap_block_key key = {.address = c->argument, .life = c->life};

			COUNT(a, failed);
			if (c->had_old)
				block__insert(a, &key, &c->old);
		}
	}
	c->state = CALL_NONE;
}

/* ---- programs */

/* Counts the hit, and times one in HEAP_TIMED. */
struct hit {
	__u64 started;
	__u32 class;
};

static __always_inline void hit__begin(struct hit *h, struct heap_acct *a, __u32 class)
{
	__u64 n = __sync_fetch_and_add(&a->hits[class], 1);

	h->class = class;
	h->started = 0;
	if (n % HEAP_TIMED == 0)
		h->started = clock_ns = bpf_ktime_get_ns();
}

static __always_inline void hit__end(const struct hit *h, struct heap_acct *a)
{
	__u64 ns;

	if (!h->started)
		return;
	ns = bpf_ktime_get_ns() - h->started;
	if (ns > HEAP_TIMED_MAX) /* another task had the processor */
		return;
	__sync_fetch_and_add(&a->timed_ns[h->class], ns);
	__sync_fetch_and_add(&a->timed[h->class], 1);
}

static __always_inline int on_enter(struct pt_regs *ctx, bool session)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct heap_acct *a = acct__get();
	struct hit h;
	bool follow;

	if (!a)
		return 1;
	hit__begin(&h, a, HEAP_COOKIE_STEPPED(cookie) ? HEAP_STEPPED : HEAP_EMULATED);
	follow = heap__enter(ctx, a, cookie, session);
	hit__end(&h, a);
	return !follow;
}

static __always_inline int on_return(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct heap_acct *a = acct__get();
	struct hit h;

	if (!a)
		return 0;
	hit__begin(&h, a, HEAP_RETURN);
	heap__leave(ctx, a, cookie);
	hit__end(&h, a);
	return 0;
}

NO_PROGRAMS(heap_session);
NO_PROGRAMS(heap_enter);
NO_PROGRAMS(heap_return);
NO_PROGRAMS(heap_free);

/* One program for both ends of a call; at the entry, 1 says that the return is of no interest. */
SEC("kprobe")
int heap_session(struct pt_regs *ctx)
{
	STACK_OF_TASK(heap_session, ctx);
	if (PT_REGS_IP(ctx) == bpf_get_func_ip(ctx))
		return on_enter(ctx, true);
	return on_return(ctx);
}

SEC("kprobe")
int heap_enter(struct pt_regs *ctx)
{
	STACK_OF_TASK(heap_enter, ctx);
	on_enter(ctx, false);
	return 0;
}

SEC("kprobe")
int heap_return(struct pt_regs *ctx)
{
	STACK_OF_TASK(heap_return, ctx);
	return on_return(ctx);
}

static __always_inline void heap__free(struct pt_regs *ctx, struct heap_acct *a, __u64 cookie)
{
	__u64 address = PT_REGS_PARM1(ctx), caller;
	__u32 life = HEAP_COOKIE_LIFE(cookie);
	struct heap_block old;

	if (!address || !*(volatile __u32 *)&recording)
		return;
	if (block__remove(a, life, address, &old)) {
		COUNT(a, freed);
		return;
	}
	/* Functions of the allocator free for one another: the block went with the first. */
	if (!targ_rate && !arch__caller(ctx, HEAP_COOKIE_PUSHED(cookie), &caller) &&
	    in_allocator(life, caller))
		return;
	COUNT(a, frees_before);
}

SEC("kprobe")
int heap_free(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct heap_acct *a = acct__get();
	struct hit h;

	STACK_OF_TASK(heap_free, ctx);
	if (!a)
		return 0;
	hit__begin(&h, a, HEAP_COOKIE_STEPPED(cookie) ? HEAP_STEPPED : HEAP_EMULATED);
	heap__free(ctx, a, cookie);
	hit__end(&h, a);
	return 0;
}

/* ---- processes */

static __always_inline void wake(__u32 tgid)
{
	/* A full ring has woken it already. */
	bpf_ringbuf_output(&events, &tgid, sizeof(tgid), 0);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(heap_fork, struct task_struct *parent, struct task_struct *child)
{
	struct heap_process born = {};
	struct heap_heir_key key = {};
	struct heap_heir heir = {};
	struct heap_acct *a = acct__get();
	struct heap_process *p;
	__u32 tgid = parent->tgid, slot = HEAP_MAX_HEIRS;

	p = bpf_map_lookup_elem(&processes, &tgid);
	/* Threads, and children that run in our memory until they exec (vfork). */
	if (!a || !p || child->tgid == tgid || child->mm == parent->mm)
		return 0;
	*(volatile __u32 *)&forked = 1;
	/* [uprobes] is not copied with the rest: its address is found anew. */
	tgid = child->tgid;
	born.life = heir.life = __sync_fetch_and_add(&lives, 1);
	born.parent = key.parent = p->life;
	heir.cut = __sync_fetch_and_add(&p->forks, 1);
	__sync_fetch_and_add(&n_heirs, 1);
	if (bpf_map_update_elem(&inheriting, &heir.life, &heir.cut, BPF_ANY)) {
		__sync_fetch_and_add(&n_heirs, -1);
	} else {
		for (slot = 0; slot < HEAP_MAX_HEIRS; slot++) {
			key.slot = slot;
			if (!bpf_map_update_elem(&heirs, &key, &heir, BPF_NOEXIST))
				break;
		}
	}
	if (slot == HEAP_MAX_HEIRS)
		COUNT(a, forks_lost);
	if (bpf_map_update_elem(&processes, &tgid, &born, BPF_ANY)) {
		if (slot < HEAP_MAX_HEIRS) {
			COUNT(a, forks_lost);
			bpf_map_delete_elem(&heirs, &key);
		}
		if (!bpf_map_delete_elem(&inheriting, &heir.life))
			__sync_fetch_and_add(&n_heirs, -1);
		return 0;
	}
	wake(tgid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(heap_exec, struct task_struct *task)
{
	struct heap_acct *a = acct__get();
	__u32 tgid = task->tgid;
	struct heap_process *p = bpf_map_lookup_elem(&processes, &tgid);

	if (!p || !a)
		return 0;
	COUNT(a, processes_ended);
	if (p->asked) {
		struct heap_process next = {.asked = 1};

		next.life = __sync_fetch_and_add(&lives, 1);
		bpf_map_update_elem(&processes, &tgid, &next, BPF_EXIST);
	} else {
		bpf_map_delete_elem(&processes, &tgid);
	}
	wake(tgid);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(heap_exit, struct task_struct *task)
{
	struct heap_acct *a = acct__get();
	__u32 tgid = task->tgid;

	if (!a || task->signal->live.counter)
		return 0;
	if (!bpf_map_delete_elem(&processes, &tgid)) {
		COUNT(a, processes_ended);
		wake(tgid);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
