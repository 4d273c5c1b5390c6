// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "probe/unwind.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "out/text.h"
#include "sym/maps.h"
#include "sym/process.h"
#include "sym/table.h"
#include "sym/vdso.h"

#define ROWS_SPARE	(256u << 10) /* for libraries opened later: libstdc++ has 28 thousand */
#define PROCESSES_SPARE 64

/* A file that is mapped somewhere, by identity: inode numbers come again. */
struct file {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct unwind_table table; /* its rows until they are in the map */
	size_t n_rows;
	uint32_t first; /* in the map */
	uint32_t index, pages, shift;
	bool placed;
};

struct followed {
	pid_t pid;
	uint64_t hash; /* of its mappings, when last written */
};

struct unwinder {
	struct bpf_map *rows_map, *index_map, *processes_map, *stacks_map, *lanes_map;
	struct unwind_row *rows; /* the map's memory */
	struct unwind_index *index;
	uint32_t n_rows, max_rows;
	uint32_t n_index, max_index;
	struct file *files;
	size_t n_files, cap_files;
	struct followed *processes;
	size_t n_processes, cap_processes;
	struct unwind_process *image; /* being made */
};

static int grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 16;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*array, want * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}

/* ---- files */

static bool is_file(const struct file *f, const struct stat *st)
{
	return f->dev == st->st_dev && f->ino == st->st_ino && f->size == st->st_size &&
	       f->mtime.tv_sec == st->st_mtim.tv_sec && f->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

/* Paths are the process's own. */
static void warn(const char *path, const char *why)
{
	struct text name = {0};

	text__add_printable(&name, path);
	log_warn("no unwind table of %s: %s; stacks through it are followed by frame pointers",
		 name.failed || !name.data ? "a file" : name.data, why);
	text__free(&name);
}

static struct file *find_file(struct unwinder *u, const struct stat *st)
{
	for (size_t i = 0; i < u->n_files; i++)
		if (is_file(&u->files[i], st))
			return &u->files[i];
	return NULL;
}

/* Reads a table; a file that gives none is remembered too. NULL: out of memory. */
static struct file *add_file(struct unwinder *u, int fd, const struct stat *st, const char *path)
{
	void *files = u->files;
	struct file *f;
	int err;

	if (grow(&files, u->n_files, &u->cap_files, sizeof(*u->files)))
		return NULL;
	u->files = files;
	f = &u->files[u->n_files];
	memset(f, 0, sizeof(*f));
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->size = st->st_size;
	f->mtime = st->st_mtim;
	err = unwind_table__read(fd, &f->table);
	if (err)
		warn(path, strerror(-err));
	f->n_rows = f->table.n;
	u->n_files++;
	return f;
}

/* The vdso has no inode; it is file 0 of device 0. */
static struct file *vdso_file(struct unwinder *u)
{
	struct stat st = {0};
	struct file *f = find_file(u, &st);
	int fd;

	if (f)
		return f;
	fd = vdso__open();
	if (fd < 0)
		return NULL;
	f = add_file(u, fd, &st, "[vdso]");
	close(fd);
	return f;
}

/* NULL: there is none (memory made executable), or it cannot be read: frame pointers. */
static struct file *file_of(struct unwinder *u, const struct process *process, const struct map *m,
			    const struct maps *all)
{
	struct file *f = NULL;
	struct stat st;
	int fd;

	if (!strcmp(m->path, "[vdso]"))
		return vdso_file(u);
	fd = m->inode ? process__open_map(process, m, all) : -ENOENT;
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st)) {
		f = find_file(u, &st);
		f = f ? f : add_file(u, fd, &st, m->path);
	}
	close(fd);
	return f;
}

/* Ranges of the file of which a table's index has an entry each. */
static uint32_t pages_of(const struct unwind_table *t, uint32_t shift)
{
	return t->n ? (t->rows[t->n - 1].pc >> shift) + 1 : 0;
}

/* Ranges in which a few rows begin on average: the index is not larger than the table. */
static uint32_t shift_of(const struct unwind_table *t)
{
	uint32_t shift = 8;

	while (shift < 31 && pages_of(t, shift) > t->n / 4 + 1)
		shift++;
	return shift;
}

static void make_index(struct unwinder *u, struct file *f)
{
	const struct unwind_table *t = &f->table;
	size_t row = 0;

	f->shift = shift_of(t);
	f->pages = pages_of(t, f->shift);
	f->index = u->n_index;
	for (uint32_t page = 0; page < f->pages; page++) {
		struct unwind_index *e = &u->index[u->n_index++];

		e->lo = f->first + (uint32_t)row;
		while (row < t->n && t->rows[row].pc >> f->shift == page)
			row++;
		e->hi = f->first + (uint32_t)row;
	}
}

/* Puts a file's rows into the map. -ENOSPC: no room, said once. */
static int place(struct unwinder *u, struct file *f, const char *path)
{
	char why[96];
	int err = 0;

	if (f->placed)
		return 0;
	f->placed = true;
	if (f->n_rows > u->max_rows - u->n_rows ||
	    pages_of(&f->table, shift_of(&f->table)) > u->max_index - u->n_index) {
		snprintf(why, sizeof(why), "it has %zu rows, and %u of %u are taken", f->n_rows,
			 u->n_rows, u->max_rows);
		warn(path, why);
		f->n_rows = 0;
		err = -ENOSPC;
	} else if (f->n_rows) {
		memcpy(u->rows + u->n_rows, f->table.rows, f->n_rows * sizeof(*u->rows));
		f->first = u->n_rows;
		u->n_rows += (uint32_t)f->n_rows;
		make_index(u, f);
	}
	free(f->table.rows);
	f->table.rows = NULL;
	f->table.n = 0;
	return err;
}

/* ---- processes */

static struct followed *find_process(struct unwinder *u, pid_t pid)
{
	for (size_t i = 0; i < u->n_processes; i++)
		if (u->processes[i].pid == pid)
			return &u->processes[i];
	return NULL;
}

static void drop_process(struct unwinder *u, pid_t pid)
{
	struct followed *p = find_process(u, pid);
	uint32_t key = (uint32_t)pid;

	if (!p)
		return;
	*p = u->processes[--u->n_processes];
	if (u->processes_map)
		bpf_map_delete_elem(bpf_map__fd(u->processes_map), &key);
}

static void drop_ended(struct unwinder *u)
{
	for (size_t i = u->n_processes; i-- > 0;)
		if (kill(u->processes[i].pid, 0) && errno == ESRCH)
			drop_process(u, u->processes[i].pid);
}

static struct followed *add_process(struct unwinder *u, pid_t pid)
{
	void *processes = u->processes;

	if (grow(&processes, u->n_processes, &u->cap_processes, sizeof(*u->processes)))
		return NULL;
	u->processes = processes;
	u->processes[u->n_processes] = (struct followed){.pid = pid};
	return &u->processes[u->n_processes++];
}

/* Addresses of return probes' trampolines and of the old vsyscall page are nobody's frames. */
static bool is_code(const struct map *m)
{
	return m->exec && strcmp(m->path, "[uprobes]") != 0 && strcmp(m->path, "[vsyscall]") != 0;
}

/* The process as BPF sees it. Where there are too many mappings, those without a file go first. */
static int make_image(struct unwinder *u, const struct process *process, const struct maps *maps)
{
	size_t left_out = 0, n = 0;
	bool files_only;
	int err = 0, e;

	for (size_t i = 0; i < maps->n; i++)
		n += is_code(&maps->map[i]);
	files_only = n > UNWIND_MAX_VMAS;
	memset(u->image, 0, sizeof(*u->image));
	for (size_t i = 0; i < maps->n; i++) {
		const struct map *m = &maps->map[i];
		struct unwind_vma *v = &u->image->vma[u->image->n];
		uint64_t bias;
		struct file *f;

		if (!is_code(m))
			continue;
		if (u->image->n == UNWIND_MAX_VMAS || (files_only && !m->inode)) {
			left_out++;
			continue;
		}
		v->start = m->start;
		v->end = m->end;
		u->image->n++;
		f = file_of(u, process, m, maps);
		if (!f || !f->n_rows || !u->rows || !u->index)
			continue;
		e = place(u, f, m->path);
		err = e ? e : err;
		if (unwind_table__bias(&f->table, m->start, m->offset, m->end - m->start, &bias))
			continue;
		v->bias = bias;
		v->first = f->first;
		v->count = (uint32_t)f->n_rows;
		v->index = f->index;
		v->pages = f->pages & ((1u << 27) - 1);
		v->shift = f->shift & 31;
	}
	if (left_out)
		log_debug("process %d has %zu executable mappings more than %d: stacks that meet "
			  "them end there",
			  (int)process->pid, left_out, UNWIND_MAX_VMAS);
	return err;
}

static int write_image(struct unwinder *u, pid_t pid)
{
	uint32_t key = (uint32_t)pid;

	if (!u->processes_map)
		return 0;
	if (!bpf_map_update_elem(bpf_map__fd(u->processes_map), &key, u->image, BPF_ANY))
		return 0;
	if (errno != E2BIG)
		return -errno;
	drop_ended(u);
	if (!bpf_map_update_elem(bpf_map__fd(u->processes_map), &key, u->image, BPF_ANY))
		return 0;
	return errno == E2BIG ? -ENOSPC : -errno;
}

static uint64_t hash_of(const struct maps *maps)
{
	uint64_t h = 1;

	for (size_t i = 0; i < maps->n; i++) {
		const struct map *m = &maps->map[i];
		const uint64_t words[] = {m->start, m->end, m->offset, m->inode};

		for (size_t k = 0; m->exec && k < sizeof(words) / sizeof(*words); k++) {
			h = (h ^ words[k]) * 0x9fb21c651e98df25ull;
			h ^= h >> 32;
		}
	}
	return h;
}

/* Both are to be closed and freed, also on failure. */
static int open_process(struct process *process, struct maps *maps, pid_t pid)
{
	int err = process__open(process, pid);

	memset(maps, 0, sizeof(*maps));
	return err ? err : process__maps(process, maps);
}

int unwinder__refresh(struct unwinder *u, pid_t pid)
{
	struct process process;
	struct maps maps;
	struct followed *p;
	int err = open_process(&process, &maps, pid), full;
	uint64_t hash;

	if (err) {
		if (err == -ESRCH)
			drop_process(u, pid);
		goto out;
	}
	hash = hash_of(&maps);
	p = find_process(u, pid);
	if (p && p->hash == hash)
		goto out;
	full = make_image(u, &process, &maps);
	err = write_image(u, pid);
	if (err)
		goto out;
	/* Looked up anew: what ended may have gone from the array. */
	p = find_process(u, pid);
	p = p ? p : add_process(u, pid);
	if (p)
		p->hash = hash;
	err = p ? full : -ENOMEM;
out:
	maps__free(&maps);
	process__close(&process);
	return err;
}

/* ---- open, fill, close */

/* Reads the tables of what a process has mapped now. */
static int read_tables(struct unwinder *u, pid_t pid)
{
	struct process process;
	struct maps maps;
	int err = open_process(&process, &maps, pid);

	if (err == -ESRCH)
		log_fail(err, "cannot follow process %d: there is none, or it has ended", (int)pid);
	else if (err)
		log_fail(err, "cannot read /proc/%d/maps: %s", (int)pid, strerror(-err));
	for (size_t i = 0; i < maps.n; i++)
		if (is_code(&maps.map[i]))
			file_of(u, &process, &maps.map[i], &maps);
	maps__free(&maps);
	process__close(&process);
	if (err)
		return err;
	return add_process(u, pid) ? 0 : log_fail(-ENOMEM, "out of memory");
}

static int size_maps(struct unwinder *u)
{
	uint64_t rows = ROWS_SPARE;
	uint32_t processes = (uint32_t)u->n_processes * 2 + PROCESSES_SPARE;
	int cpus = libbpf_num_possible_cpus(), err = 0;

	for (size_t i = 0; i < u->n_files; i++)
		rows += u->files[i].n_rows;
	u->max_rows = rows > UNWIND_ROWS_MAX ? UNWIND_ROWS_MAX : (uint32_t)rows;
	if (cpus < 0)
		err = cpus;
	if (!err && u->rows_map)
		err = bpf_map__set_max_entries(u->rows_map, u->max_rows);
	/* A quarter of the rows, and one more a file. */
	if (!err && u->index_map)
		err = bpf_map__set_max_entries(u->index_map, u->max_rows / 2);
	if (!err && u->processes_map)
		err = bpf_map__set_max_entries(u->processes_map, processes);
	if (!err && u->lanes_map)
		err = bpf_map__set_max_entries(u->lanes_map, (uint32_t)cpus * STACK_LANES);
	return err ? log_fail(err, "cannot size the maps for stacks: %s", strerror(-err)) : 0;
}

int unwinder__open(struct unwinder **out, struct bpf_object *obj, const pid_t *pids, size_t n)
{
	struct unwinder *u = calloc(1, sizeof(*u));
	int err = 0;

	*out = NULL;
	if (u)
		u->image = calloc(1, sizeof(*u->image));
	if (!u || !u->image) {
		err = log_fail(-ENOMEM, "out of memory");
		goto fail;
	}
	u->rows_map = bpf_object__find_map_by_name(obj, "unwind_rows");
	u->index_map = bpf_object__find_map_by_name(obj, "unwind_index");
	u->processes_map = bpf_object__find_map_by_name(obj, "unwind_processes");
	u->stacks_map = bpf_object__find_map_by_name(obj, "stacks");
	u->lanes_map = bpf_object__find_map_by_name(obj, "stack_lanes");
	for (size_t i = 0; i < n && !err; i++)
		err = read_tables(u, pids[i]);
	err = err ? err : size_maps(u);
	if (err)
		goto fail;
	*out = u;
	return 0;
fail:
	unwinder__close(u);
	return err;
}

/* A map of the kernel's as our memory; both maps' values are 8 bytes. */
static int map_memory(struct bpf_map *map, uint32_t *n, void **out)
{
	if (!map || *out)
		return 0;
	*n = bpf_map__max_entries(map);
	*out = mmap(NULL, *n * 8ul, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (*out != MAP_FAILED)
		return 0;
	*out = NULL;
	return log_fail(-errno, "cannot map %s: %s", bpf_map__name(map), strerror(errno));
}

int unwinder__fill(struct unwinder *u)
{
	void *rows = u->rows, *index = u->index;
	int err = map_memory(u->rows_map, &u->max_rows, &rows);

	u->rows = rows;
	err = err ? err : map_memory(u->index_map, &u->max_index, &index);
	u->index = index;
	if (err)
		return err;
	for (size_t i = u->n_processes; i-- > 0;) {
		pid_t pid = u->processes[i].pid;

		err = unwinder__refresh(u, pid);
		/* What ended meanwhile is its watcher's to notice; what has no room was said. */
		if (err && err != -ESRCH && err != -ENOSPC)
			return log_fail(err, "cannot note the mappings of process %d: %s", (int)pid,
					strerror(-err));
	}
	return 0;
}

void unwinder__close(struct unwinder *u)
{
	if (!u)
		return;
	if (u->rows)
		munmap(u->rows, u->max_rows * sizeof(*u->rows));
	if (u->index)
		munmap(u->index, u->max_index * sizeof(*u->index));
	for (size_t i = 0; i < u->n_files; i++)
		unwind_table__free(&u->files[i].table);
	free(u->files);
	free(u->processes);
	free(u->image);
	free(u);
}

size_t unwinder__stack(struct unwinder *u, uint64_t id, uint64_t pcs[STACK_FRAMES], uint32_t *flags)
{
	struct stack_val val;

	*flags = 0;
	if (!id || !u->stacks_map || bpf_map_lookup_elem(bpf_map__fd(u->stacks_map), &id, &val) ||
	    val.n > STACK_FRAMES)
		return 0;
	memcpy(pcs, val.pc, val.n * sizeof(*pcs));
	*flags = val.flags;
	return val.n;
}

void unwinder__counters(struct unwinder *u, struct heap_counters *c)
{
	uint32_t n = u->lanes_map ? bpf_map__max_entries(u->lanes_map) : 0;
	struct stack_lane lane;

	for (uint32_t i = 0; i < n; i++) {
		if (bpf_map_lookup_elem(bpf_map__fd(u->lanes_map), &i, &lane))
			continue;
		c->stacks_lost += lane.acct.lost + lane.busy;
		c->stacks_broken += lane.acct.broken;
		c->stacks_truncated += lane.acct.truncated;
	}
}
