/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Unpacked with the same description; tests/golden/heap.bats reads it with pprof's own tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "heap_fixture.h"
#include "out/pprof.h"
#include "src/out/profile.pb-c.h"

static char *packed(const struct heap_profile *p, bool grown, size_t *len)
{
	char *data = NULL;
	FILE *out = open_memstream(&data, len);

	assert_int_equal(pprof__print(out, p, grown), 0);
	fclose(out);
	return data;
}

static Pprof__Profile *unpacked(const struct heap_profile *p, bool grown)
{
	size_t len, room = 64 << 20;
	char *data = packed(p, grown, &len);
	unsigned char *plain = malloc(room);
	z_stream z = {.next_in = (unsigned char *)data,
		      .avail_in = (uInt)len,
		      .next_out = plain,
		      .avail_out = (uInt)room};
	Pprof__Profile *out;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	out = pprof__profile__unpack(NULL, z.total_out, plain);
	inflateEnd(&z);
	assert_non_null(out);
	free(data);
	free(plain);
	return out;
}

static const char *name_of(const Pprof__Profile *p, uint64_t location)
{
	const Pprof__Location *l = p->location[location - 1];

	assert_int_equal(l->id, location);
	return p->string_table[p->function[l->line[0]->function_id - 1]->name];
}

static void samples(void **state)
{
	struct fixture f = {.lines = true};
	struct heap_reading r = {};
	struct heap_profile p;
	Pprof__Profile *out;
	const Pprof__Sample *s;

	(void)state;
	fixture__add(&f, &r, 7, "libc.so.6:malloc<f<main", 100.4, 2)->total_bytes = 900;
	fixture__add(&f, &r, 7, "g\xff<f<main", 50, 1);
	fixture__add(&f, &r, 9, "", 7, 1);
	fixture__profile(&f, &r, &p);
	p.sites[0].grown_bytes = -3;
	heap_profile__note(&p, "a note");
	snprintf(p.stopped, sizeof(p.stopped), "the budget is spent");
	p.counters.stacks_lost = 4;
	p.counters.allocs = 5;
	out = unpacked(&p, true);
	assert_string_equal(out->string_table[0], "");
	assert_int_equal(out->n_sample_type, 6);
	assert_string_equal(out->string_table[out->sample_type[3]->type], "inuse_space");
	assert_string_equal(out->string_table[out->sample_type[3]->unit], "bytes");
	assert_string_equal(out->string_table[out->sample_type[2]->type], "inuse_objects");
	assert_string_equal(out->string_table[out->sample_type[2]->unit], "count");
	assert_string_equal(out->string_table[out->default_sample_type], "grown_space");
	assert_int_equal(out->n_sample, 3);
	s = out->sample[0];
	assert_int_equal(s->n_value, 6);
	assert_int_equal(s->value[1], 900);
	assert_int_equal(s->value[2], 2);
	assert_int_equal(s->value[3], 100);
	assert_int_equal(s->value[5], -3);
	assert_int_equal(s->n_location_id, 3);
	assert_string_equal(name_of(out, s->location_id[0]), "malloc");
	assert_string_equal(name_of(out, s->location_id[2]), "main");
	/* shared frames are one location; strings are UTF-8 */
	assert_int_equal(out->sample[1]->location_id[2], s->location_id[2]);
	assert_string_equal(name_of(out, out->sample[1]->location_id[0]), "g\\xff");
	assert_string_equal(name_of(out, out->sample[2]->location_id[0]), "[stack not kept]");
	assert_int_equal(out->n_mapping, 2);
	assert_int_equal(out->n_location, 5);
	assert_string_equal(out->string_table[s->label[0]->key], "pid");
	assert_int_equal(s->label[0]->num, 7);
	assert_string_equal(out->string_table[s->label[1]->str], "app7");
	assert_int_equal(out->time_nanos, 1700000000ll * 1000000000);
	assert_int_equal(out->duration_nanos, 10000000000);
	assert_string_equal(out->string_table[out->comment[1]], "a note");
	assert_string_equal(out->string_table[out->comment[2]], "the budget is spent");
	assert_string_equal(out->string_table[out->comment[3]],
			    "4 stacks not kept: the table was full");
	assert_int_equal(out->n_comment, 4);
	pprof__profile__free_unpacked(out, NULL);
	heap_profile__free(&p);
	out = unpacked(&p, false);
	assert_int_equal(out->n_sample, 0);
	assert_string_equal(out->string_table[out->default_sample_type], "inuse_space");
	pprof__profile__free_unpacked(out, NULL);
}

/* More than one buffer of everything, and twice the same bytes. */
static void large(void **state)
{
	enum { N = 20000 };
	struct heap_frame *frames = calloc(N, sizeof(*frames));
	struct heap_site *sites = calloc(N, sizeof(*sites));
	struct heap_profile p = {.sites = sites, .n_sites = N};
	char *names = malloc(N * 16), *one, *two;
	size_t len_one, len_two;
	Pprof__Profile *out;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(names + 16 * i, 16, "f%zu", i);
		frames[i] = (struct heap_frame){
			.function = names + 16 * i, .module = "m", .address = i * 977};
		sites[i] = (struct heap_site){.tgid = 1,
					      .comm = "c",
					      .frames = &frames[i],
					      .n_frames = i + 40 < N ? 40 : N - i,
					      .bytes = (double)i};
	}
	out = unpacked(&p, false);
	assert_int_equal(out->n_sample, N);
	assert_int_equal(out->n_location, N);
	assert_string_equal(name_of(out, out->sample[N - 1]->location_id[0]), "f19999");
	pprof__profile__free_unpacked(out, NULL);
	one = packed(&p, false, &len_one);
	two = packed(&p, false, &len_two);
	assert_int_equal(len_one, len_two);
	assert_memory_equal(one, two, len_one);
	free(one);
	free(two);
	free(names);
	free(frames);
	free(sites);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples),
		cmocka_unit_test(large),
	};

	return cmocka_run_group_tests_name("pprof", tests, NULL, NULL);
}
