/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the table where it lies: a look-up is a binary search of some twenty small reads. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sym/gopclntab.h"

/* Bytes of a pc-value program that are gone through at most: the longest seen have some 100 KiB. */
#define PROGRAM_MAX (1u << 20)

static bool get(const struct gopclntab *t, uint64_t at, void *buf, size_t n)
{
	if (at > t->src.size || n > t->src.size - at)
		return false;
	if (t->src.mem) {
		memcpy(buf, t->src.mem + at, n);
		return true;
	}
	return pread(t->src.fd, buf, n, (off_t)(t->src.offset + at)) == (ssize_t)n;
}

/* What there is, up to n bytes. */
static size_t get_some(const struct gopclntab *t, uint64_t at, void *buf, size_t n)
{
	if (at >= t->src.size)
		return 0;
	if (n > t->src.size - at)
		n = (size_t)(t->src.size - at);
	return get(t, at, buf, n) ? n : 0;
}

static bool get_u32(const struct gopclntab *t, uint64_t at, uint32_t *v)
{
	return get(t, at, v, sizeof(*v));
}

static bool get_ptr(const struct gopclntab *t, uint64_t at, uint64_t *v)
{
	uint32_t narrow;

	if (t->ptr == 8)
		return get(t, at, v, sizeof(*v));
	if (!get_u32(t, at, &narrow))
		return false;
	*v = narrow;
	return true;
}

static bool get_string(const struct gopclntab *t, uint64_t at, char *buf, size_t size)
{
	size_t n = get_some(t, at, buf, size - 1);

	buf[n] = 0;
	return buf[0];
}

static int version_of(uint32_t magic)
{
	switch (magic) {
	case 0xfffffffb: return 2;
	case 0xfffffffa: return 16;
	case 0xfffffff0: return 18;
	case 0xfffffff1: return 20;
	}
	return 0;
}

/* The words behind the first eight bytes. */
static bool read_header(struct gopclntab *t)
{
	uint64_t word[8] = {0};
	size_t n = t->version == 2 ? 1 : t->version == 16 ? 7 : 8;

	for (size_t i = 0; i < n; i++)
		if (!get_ptr(t, 8 + i * t->ptr, &word[i]))
			return false;
	t->n = word[0];
	if (t->version == 2) {
		t->funcs = 8 + t->ptr; /* of the index; functions are relative to the table */
		return true;
	}
	if (t->version >= 18) {
		t->text = word[2];
		t->text_at = 8 + 2 * (uint64_t)t->ptr;
		memmove(&word[2], &word[3], 5 * sizeof(word[0]));
	}
	t->names = word[2];
	t->cus = word[3];
	t->files = word[4];
	t->pcs = word[5];
	t->funcs = word[6];
	return t->names <= t->src.size && t->cus <= t->src.size && t->files <= t->src.size &&
	       t->pcs <= t->src.size && t->funcs <= t->src.size;
}

/* Size of one entry of the index: address and place of a function. */
static uint64_t entry_size(const struct gopclntab *t)
{
	return t->version >= 18 ? 8 : 2 * (uint64_t)t->ptr;
}

int gopclntab__open(struct gopclntab *t, const struct gopclntab_source *src)
{
	uint8_t head[8];
	uint32_t magic;

	memset(t, 0, sizeof(*t));
	t->src = *src;
	if (!get(t, 0, head, sizeof(head)))
		return -ENOEXEC;
	memcpy(&magic, head, sizeof(magic));
	t->version = version_of(magic);
	t->quantum = head[6];
	t->ptr = head[7];
	if (!t->version || head[4] || head[5] ||
	    (t->quantum != 1 && t->quantum != 2 && t->quantum != 4) ||
	    (t->ptr != 4 && t->ptr != 8) || !read_header(t))
		return -ENOEXEC;
	/* one more than there are functions: the last gives the end of the text */
	if (!t->n || t->n >= (t->src.size - t->funcs) / entry_size(t))
		return -ENOEXEC;
	return 0;
}

static bool index_entry(const struct gopclntab *t, uint64_t i, uint64_t *pc, uint64_t *func)
{
	uint64_t at = t->funcs + i * entry_size(t);
	uint32_t word[2];

	if (t->version < 18)
		return get_ptr(t, at, pc) && get_ptr(t, at + t->ptr, func);
	if (!get(t, at, word, sizeof(word)))
		return false;
	*pc = t->text + word[0];
	*func = word[1];
	return true;
}

/* A little-endian base-128 number; false at the end of the table. */
struct reader {
	const struct gopclntab *t;
	uint64_t at;
	uint8_t buf[256];
	size_t n, i;
	size_t total;
};

static bool read_varint(struct reader *r, uint32_t *v)
{
	*v = 0;
	for (unsigned int shift = 0; shift < 35; shift += 7) {
		uint8_t byte;

		if (r->i == r->n) {
			r->n = get_some(r->t, r->at, r->buf, sizeof(r->buf));
			r->at += r->n;
			r->i = 0;
			r->total += r->n;
			if (!r->n || r->total > PROGRAM_MAX)
				return false;
		}
		byte = r->buf[r->i++];
		if (shift < 32)
			*v |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* The value that a program of (value, pc) steps gives for pc. -1: none. */
static int64_t pc_value(const struct gopclntab *t, uint32_t program, uint64_t entry, uint64_t pc)
{
	struct reader r = {.t = t, .at = t->pcs + program};
	int64_t value = -1;
	bool first = true;
	uint32_t delta;

	if (!program)
		return -1;
	while (read_varint(&r, &delta) && (delta || first)) {
		/* zigzag: the lowest bit is the sign */
		value += delta & 1 ? -(int64_t)(delta >> 1) - 1 : (int64_t)(delta >> 1);
		if (!read_varint(&r, &delta))
			break;
		entry += (uint64_t)delta * t->quantum;
		if (pc < entry)
			return value;
		first = false;
	}
	return -1;
}

/* Behind the entry's address, which is 4 bytes since 1.18: nameoff args deferreturn pcsp pcfile
 * pcln npcdata cuOffset.
 */
enum { F_NAME = 0, F_PCFILE = 16, F_PCLN = 20, F_CU = 28 };

static void find_line(const struct gopclntab *t, uint64_t fields, uint64_t pc,
		      struct gopclntab_func *out)
{
	uint32_t pcfile, pcln, cu, offset;
	int64_t file, line;

	if (t->version == 2 || !get_u32(t, fields + F_PCFILE, &pcfile) ||
	    !get_u32(t, fields + F_PCLN, &pcln) || !get_u32(t, fields + F_CU, &cu))
		return;
	file = pc_value(t, pcfile, out->entry, pc);
	line = pc_value(t, pcln, out->entry, pc);
	if (file < 0 || line <= 0 || line > UINT32_MAX)
		return;
	if (!get_u32(t, t->cus + 4 * ((uint64_t)cu + (uint64_t)file), &offset) ||
	    offset == UINT32_MAX)
		return;
	if (get_string(t, t->files + offset, out->file, sizeof(out->file)))
		out->line = (unsigned int)line;
}

static bool read_func(const struct gopclntab *t, uint64_t func, uint64_t pc,
		      struct gopclntab_func *out)
{
	uint64_t fields = t->version == 2 ? func : t->funcs + func;
	uint32_t name;

	if (func > t->src.size)
		return false;
	fields += t->version >= 18 ? 4 : t->ptr;
	if (!get_u32(t, fields + F_NAME, &name) ||
	    !get_string(t, t->names + name, out->name, sizeof(out->name)))
		return false;
	find_line(t, fields, pc, out);
	return true;
}

bool gopclntab__find(const struct gopclntab *t, uint64_t pc, struct gopclntab_func *out)
{
	uint64_t low = 0, high = t->n, func = 0, unused;

	out->name[0] = out->file[0] = 0;
	out->line = 0;
	/* the last entry at or before pc */
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (!index_entry(t, mid, &out->entry, &func))
			return false;
		if (out->entry <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || !index_entry(t, low - 1, &out->entry, &func) ||
	    !index_entry(t, low, &out->end, &unused))
		return false;
	return pc >= out->entry && pc < out->end && read_func(t, func, pc, out);
}
