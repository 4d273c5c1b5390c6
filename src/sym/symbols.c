/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From an address to its module, to its function: regions, modules, and what was answered before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sym/module.h"
#include "sym/perf_map.h"
#include "sym/process.h"
#include "sym/strings.h"
#include "sym/symbols.h"

#define MODULES_MAX 512		/* each holds a file open */
#define SYMBOLS_MAX (16u << 20) /* 32 bytes each */
#define BYTES_MAX   (512u << 20)
#define REGIONS_MAX 65536
/* Answers that are kept. Beyond, addresses are looked up each time. */
#define ANSWERS_MAX (1u << 20)

static const char unknown[] = "[unknown]";

struct region {
	uint64_t start, end;
	uint64_t offset; /* in the file; for memory without file, `start` */
	struct module *module;
};

struct answer {
	struct module *module; /* NULL: free slot */
	uint64_t offset;       /* in the module's file */
	uint64_t within;       /* bytes behind the function's start, or the module's */
	const char *function, *source;
	unsigned int line;
	bool jit;
};

struct symbols {
	struct process process;
	struct region *region;
	size_t n_regions;
	struct module **module;
	size_t n_modules;
	size_t files_lost; /* mapped files beyond MODULES_MAX */
	struct module_budget budget;
	struct strings strings;

	struct answer *answer; /* hash table, at most half full */
	size_t n_answers, slots;

	int perf_map_fd;
	bool perf_map_read;
	int perf_map_err; /* it is there, and could not be read */
	struct perf_map perf_map;
};

/* ---- modules and regions */

/* Room for one more in an array that grows by doubling from `least` on. */
static int grow(void *array, size_t n, size_t least, size_t size)
{
	void **p = array, *more;

	if (n && (n < least || (n & (n - 1))))
		return 0;
	more = realloc(*p, (n ? (n < least ? least : n * 2) : least) * size);
	if (!more)
		return -ENOMEM;
	*p = more;
	return 0;
}

static struct module *known(const struct symbols *s, const struct map *map)
{
	for (size_t i = 0; i < s->n_modules; i++) {
		struct module *m = s->module[i];

		if (m->inode == map->inode && m->major == map->major && m->minor == map->minor &&
		    !strcmp(m->path, map->path))
			return m;
	}
	return NULL;
}

static struct module *open_module(struct symbols *s, const struct map *map, const struct maps *all)
{
	if (map->inode && !s->budget.modules) {
		s->files_lost++;
		return module__new(map->path, MODULE_CLOSED, -EMFILE);
	}
	if (map->inode) {
		s->budget.modules--;
		return module__new(map->path, MODULE_OPEN,
				   process__open_map(&s->process, map, all));
	}
	if (!strcmp(map->path, "[vdso]"))
		return module__new(map->path, MODULE_OPEN, process__copy_map(&s->process, map));
	return module__new(map->path, MODULE_NO_FILE, -1);
}

static const char *shown_as(struct symbols *s, const struct map *map)
{
	struct text t = {0};
	const char *shown;

	/* a memfd never had a name */
	if (map->deleted && strncmp(map->path, "/memfd:", 7) != 0)
		text__add(&t, "[deleted] ");
	text__add(&t, map->path);
	shown = strings__add(&s->strings, t.data ? t.data : "");
	text__free(&t);
	return shown;
}

/* NULL: out of memory, or too many. */
static struct module *module_of(struct symbols *s, const struct map *map, const struct maps *all)
{
	struct module *m = known(s, map);

	if (m && m->deleted == map->deleted)
		return m;
	if (!m) {
		if (s->n_modules >= 2 * MODULES_MAX ||
		    grow(&s->module, s->n_modules, 16, sizeof(struct module *)))
			return NULL;
		m = open_module(s, map, all);
		if (!m)
			return NULL;
		m->major = map->major;
		m->minor = map->minor;
		m->inode = map->inode;
		m->index = (uint32_t)s->n_modules;
		s->module[s->n_modules++] = m;
	}
	m->deleted = map->deleted;
	m->shown = shown_as(s, map);
	return m;
}

static int by_start(const void *a, const void *b)
{
	const struct region *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static bool overlaps(const struct region *r, const struct maps *maps)
{
	for (size_t i = 0, n = maps->n; i < n;) {
		size_t mid = i + (n - i) / 2;

		if (maps->map[mid].end <= r->start)
			i = mid + 1;
		else if (maps->map[mid].start >= r->end)
			n = mid;
		else
			return true;
	}
	return false;
}

/* What is mapped now, and of what was known before, what nothing else has taken the place of. */
static int take_regions(struct symbols *s, const struct maps *maps)
{
	struct region *regions = calloc(maps->n + s->n_regions + 1, sizeof(*regions));
	size_t n = 0;

	if (!regions)
		return -ENOMEM;
	for (size_t i = 0; i < maps->n && n < REGIONS_MAX; i++) {
		const struct map *map = &maps->map[i];
		struct module *m;

		if (!map->exec)
			continue;
		m = module_of(s, map, maps);
		if (!m)
			continue;
		regions[n++] = (struct region){
			.start = map->start,
			.end = map->end,
			.offset = map->inode   ? map->offset
				  : m->fd >= 0 ? 0
					       : map->start,
			.module = m,
		};
	}
	for (size_t i = 0; i < s->n_regions && n < REGIONS_MAX; i++)
		if (!overlaps(&s->region[i], maps))
			regions[n++] = s->region[i];
	qsort(regions, n, sizeof(*regions), by_start);
	free(s->region);
	s->region = regions;
	s->n_regions = n;
	return 0;
}

static const struct region *region_at(const struct symbols *s, uint64_t pc)
{
	size_t low = 0, high = s->n_regions;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->region[mid].end <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n_regions && s->region[low].start <= pc ? &s->region[low] : NULL;
}

/* ---- opening */

int symbols__open(struct symbols **out, pid_t pid)
{
	struct symbols *s = calloc(1, sizeof(*s));
	struct maps maps = {0};
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->perf_map_fd = -1;
	s->budget = (struct module_budget){
		.modules = MODULES_MAX,
		.symbols = SYMBOLS_MAX,
		.bytes = BYTES_MAX,
	};
	err = process__open(&s->process, pid);
	if (!err)
		err = process__maps(&s->process, &maps);
	if (!err)
		err = take_regions(s, &maps);
	maps__free(&maps);
	if (err) {
		symbols__close(s);
		return err;
	}
	s->perf_map_fd = process__open_perf_map(&s->process);
	*out = s;
	return 0;
}

/* Code made at run time may have moved: what was said of it is asked again. */
static void forget_jit(struct symbols *s)
{
	if (s->perf_map_fd < 0)
		s->perf_map_fd = process__open_perf_map(&s->process);
	perf_map__free(&s->perf_map);
	s->perf_map_read = false;
	s->perf_map_err = 0;
	for (size_t i = 0; i < s->slots; i++) {
		struct answer *a = &s->answer[i];

		if (!a->jit || !a->function)
			continue;
		a->module->unknown -= a->function == unknown;
		a->function = NULL;
	}
}

int symbols__refresh(struct symbols *s)
{
	struct maps maps = {0};
	int err = process__maps(&s->process, &maps);

	if (err)
		return err == -ESRCH ? 0 : err;
	err = take_regions(s, &maps);
	maps__free(&maps);
	forget_jit(s);
	return err;
}

void symbols__close(struct symbols *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_modules; i++)
		module__free(s->module[i]);
	free(s->module);
	free(s->region);
	free(s->answer);
	strings__free(&s->strings);
	perf_map__free(&s->perf_map);
	if (s->perf_map_fd >= 0)
		close(s->perf_map_fd);
	process__close(&s->process);
	free(s);
}

/* ---- answers */

static size_t hash(const struct module *m, uint64_t offset)
{
	uint64_t h = (offset + ((uint64_t)m->index << 48)) * 0x9e3779b97f4a7c15ull;

	return (size_t)(h ^ h >> 29);
}

/* The answer's slot, or the free one where it goes. */
static struct answer *slot_of(struct answer *table, size_t slots, const struct module *m,
			      uint64_t offset)
{
	size_t i = hash(m, offset) & (slots - 1);

	while (table[i].module && (table[i].module != m || table[i].offset != offset))
		i = (i + 1) & (slots - 1);
	return &table[i];
}

static int make_room(struct symbols *s)
{
	size_t slots = s->slots ? s->slots * 2 : 4096;
	struct answer *table;

	if (s->n_answers * 2 < s->slots)
		return 0;
	if (s->n_answers >= ANSWERS_MAX)
		return -ENOSPC;
	table = calloc(slots, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < s->slots; i++)
		if (s->answer[i].module)
			*slot_of(table, slots, s->answer[i].module, s->answer[i].offset) =
				s->answer[i];
	free(s->answer);
	s->answer = table;
	s->slots = slots;
	return 0;
}

static void find_jit(struct symbols *s, uint64_t pc, struct answer *a)
{
	const struct perf_map_entry *e;
	int err;

	a->jit = true;
	if (!s->perf_map_read) {
		err = s->perf_map_fd < 0 ? s->perf_map_fd
					 : perf_map__read(&s->perf_map, s->perf_map_fd);
		s->perf_map_err = err == -ENOENT ? 0 : err;
	}
	s->perf_map_read = true;
	e = perf_map__find(&s->perf_map, pc);
	if (!e)
		return;
	a->function = strings__add(&s->strings, e->name);
	a->within = pc - e->start;
}

static void find_file(struct symbols *s, struct module *m, uint64_t vaddr, struct answer *a)
{
	struct module_name *name = malloc(sizeof(*name));
	bool found;

	if (!name)
		return;
	found = module__find(m, s->process.root, &s->budget, vaddr, name);
	if (found) {
		a->function = strings__add(&s->strings, name->function);
		a->within = vaddr - name->start;
	}
	if (name->line) {
		a->source = strings__add(&s->strings, name->source);
		a->line = name->line;
	}
	free(name);
}

static void find(struct symbols *s, const struct region *r, uint64_t pc, struct answer *a)
{
	struct module *m = r->module;

	a->function = unknown;
	if (m->state == MODULE_NO_FILE || m->state == MODULE_NOT_ELF) {
		a->within = pc - r->start;
		find_jit(s, pc, a);
	} else {
		uint64_t vaddr;

		/* where it cannot be read, the place in the file is the best there is */
		a->within = a->offset;
		if (m->state == MODULE_OPEN && elf_file__vaddr(&m->elf, a->offset, &vaddr)) {
			a->within = vaddr;
			find_file(s, m, vaddr, a);
		}
	}
	if (a->function == unknown)
		m->unknown++;
}

void symbols__frame(struct symbols *s, uint64_t pc, bool is_return, struct heap_frame *out)
{
	/* the call is before the return address, which may be another function's, or line's */
	uint64_t back = is_return && pc, at = pc - back;
	const struct region *r = region_at(s, at);
	struct answer fresh = {0}, *a = &fresh;

	*out = (struct heap_frame){.function = unknown, .module = "", .address = pc};
	if (!r)
		return;
	fresh.module = r->module;
	fresh.offset = at - r->start + r->offset;
	if (!make_room(s) || s->slots > s->n_answers + 1) {
		a = slot_of(s->answer, s->slots, fresh.module, fresh.offset);
		if (!a->module && s->n_answers < ANSWERS_MAX) {
			*a = fresh;
			s->n_answers++;
		} else if (!a->module) {
			a = &fresh;
		}
	}
	if (!a->function)
		find(s, r, at, a);
	out->function = a->function;
	out->module = r->module->shown;
	out->offset = a->within + back;
	out->source = a->source;
	out->line = a->line;
}

static void note_module(const struct symbols *s, const struct module *m, struct text *t)
{
	bool made = m->state == MODULE_NO_FILE || m->state == MODULE_NOT_ELF;

	/* it would say that there should be a map */
	if (made && m->unknown && s->perf_map_err && strcmp(m->path, "[vsyscall]") != 0) {
		text__add_printable(t, *m->shown ? m->shown : "anonymous memory");
		text__addf(t,
			   ": %" PRIu64 " address%s without a name: its /tmp/perf-PID.map cannot "
			   "be read: %s",
			   m->unknown, m->unknown == 1 ? "" : "es", strerror(-s->perf_map_err));
		return;
	}
	module__note(m, t);
}

void symbols__notes(const struct symbols *s, symbols_note_fn fn, void *ctx)
{
	char lost[96];

	for (size_t i = 0; i < s->n_modules; i++) {
		struct text t = {0};

		note_module(s, s->module[i], &t);
		if (t.data)
			fn(ctx, t.data);
		text__free(&t);
	}
	if (s->files_lost) {
		snprintf(lost, sizeof(lost), "%zu mapped files not read: more than %d",
			 s->files_lost, MODULES_MAX);
		fn(ctx, lost);
	}
}
