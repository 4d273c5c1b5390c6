/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the file holds; what it does in a browser is tests/e2e/flame.bats's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap_fixture.h"
#include "out/flame.h"
#include "out/flame_tree.h"

static const struct flame_node *node(const struct flame_tree *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->nodes[i].name, name))
			return &t->nodes[i];
	fail_msg("no node %s", name);
	return NULL;
}

static void trees(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;
	struct flame_tree t;

	(void)state;
	fixture__add(&f, &r, 7, "b<main", 30, 1);
	fixture__add(&f, &r, 7, "x<a<main", 10, 2);
	fixture__add(&f, &r, 7, "y<a<main", 20, 3);
	fixture__add(&f, &r, 7, "a<main", 5, 4);
	fixture__add(&f, &r, 7, "libx.so:a<main", 1, 5);
	fixture__profile(&f, &r, &p);
	p.sites[0].grown_bytes = -30;
	assert_int_equal(flame_tree__make(&t, &p, false), 0);
	assert_int_equal(t.n, 7);
	assert_int_equal(t.depth, 3);
	assert_true(t.nodes[0].value == 66 && t.nodes[0].blocks == 15);
	assert_true(node(&t, "main")->value == 66 && node(&t, "main")->x == 0);
	assert_true(node(&t, "a")->value == 35 && node(&t, "a")->blocks == 9);
	assert_true(node(&t, "x")->x == 5 && node(&t, "y")->x == 15);
	assert_true(node(&t, "b")->x == 36);
	/* parents enclose their children, neighbours do not overlap */
	for (size_t i = 1; i < t.n; i++) {
		double end = 0;

		for (size_t k = i + 1; k < t.n && t.nodes[k].depth > t.nodes[i].depth; k++) {
			if (t.nodes[k].depth != t.nodes[i].depth + 1)
				continue;
			assert_true(t.nodes[k].x >= t.nodes[i].x && t.nodes[k].x >= end);
			end = t.nodes[k].x + t.nodes[k].value;
		}
		assert_true(end <= t.nodes[i].x + t.nodes[i].value);
	}
	flame_tree__free(&t);
	assert_int_equal(flame_tree__make(&t, &p, true), 0);
	assert_true(t.nodes[0].value == 66 && t.nodes[0].grown == 6);
	flame_tree__free(&t);
	heap_profile__free(&p);
	assert_int_equal(flame_tree__make(&t, &p, false), 0);
	assert_int_equal(t.n, 1);
	flame_tree__free(&t);
}

/* Names are text, whatever they hold, and nothing is loaded from elsewhere. */
static void hostile_names(void **state)
{
	(void)state;
	for (int html = 0; html < 2; html++) {
		struct fixture f = {};
		struct heap_reading r = {};
		struct heap_profile p;
		struct flame_opts o = {.html = html};
		char *text;

		fixture__add(&f, &r, 7, "x<main", 10, 1);
		snprintf(f.names[0], sizeof(f.names[0]),
			 "</title><script>alert(1)</script>]]>&\"'\033");
		fixture__add(&f, &r, 7, "g\xff\xc3<main", 10, 1);
		fixture__profile(&f, &r, &p);
		snprintf(p.target, sizeof(p.target), "a</title><b>");
		PRINTED(text, flame__print(out, &p, &o));
		assert_null(strstr(text, "<script>alert"));
		assert_non_null(strstr(text, "&quot;&#39;\\x1b"));
		assert_null(strstr(text, "<b>"));
		assert_null(strchr(text, 033));
		assert_null(strstr(text, "\xff"));
		assert_null(strstr(text, "src="));
		assert_null(strstr(text, "href"));
		assert_null(strstr(text, "@import"));
		assert_null(strstr(text, "url("));
		assert_int_equal(!strncmp(text, "<!DOCTYPE html>", 15), html);
		free(text);
		heap_profile__free(&p);
	}
}

/* The order in which the sites were read shows nowhere. */
static void deterministic(void **state)
{
	static const char *const stacks[] = {"a<m", "b<m", "x<a<m", "libx.so:a<m", "c<b<m"};
	char *text[2];

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct fixture f = {};
		struct heap_reading r = {};
		struct heap_profile p;
		struct flame_opts o = {};

		for (int i = 0; i < 5; i++)
			fixture__add(&f, &r, 7, stacks[k ? 4 - i : i], 10, 1);
		fixture__profile(&f, &r, &p);
		PRINTED(text[k], flame__print(out, &p, &o));
		heap_profile__free(&p);
	}
	assert_string_equal(text[0], text[1]);
	free(text[0]);
	free(text[1]);
}

static void differences(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;
	struct flame_opts o = {.grown = true};
	char *text;

	(void)state;
	fixture__add(&f, &r, 7, "up<main", 100, 1);
	fixture__add(&f, &r, 7, "down<main", 50, 1);
	fixture__add(&f, &r, 7, "same<main", 70, 1);
	fixture__profile(&f, &r, &p);
	for (size_t i = 0; i < p.n_sites; i++) {
		const char *name = p.sites[i].frames[0].function;

		p.sites[i].grown_bytes = *name == 'u' ? 60 : *name == 'd' ? -40 : 0;
	}
	PRINTED(text, flame__print(out, &p, &o));
	assert_non_null(strstr(text,
			       "<g class=\"f up r5\" data-d=\"2\" data-x=\"40\" data-w=\"60\">"
			       "<title>up\napp\ngrew by 60 B, holds 100 B</title>"));
	assert_non_null(strstr(text, "<g class=\"f dn r5\" data-d=\"2\" data-x=\"0\" data-w=\"40\">"
				     "<title>down\napp\nshrank by 40 B, holds 50 B</title>"));
	assert_non_null(strstr(text, "<g class=\"f up r1\" data-d=\"0\" data-x=\"0\""));
	assert_null(strstr(text, "same"));
	free(text);
	heap_profile__free(&p);
	PRINTED(text, flame__print(out, &p, &o));
	assert_non_null(strstr(text, "(nothing grew or shrank)"));
	free(text);
}

static void narrow_frames(void **state)
{
	struct fixture f = {};
	struct heap_reading r = {};
	struct heap_profile p;
	struct flame_opts o = {};
	char *text;

	(void)state;
	fixture__add(&f, &r, 7, "wide<main", 1e6, 1);
	fixture__add(&f, &r, 7, "narrow<main", 10, 1);
	fixture__profile(&f, &r, &p);
	PRINTED(text, flame__print(out, &p, &o));
	assert_null(strstr(text, ">narrow\n"));
	assert_non_null(strstr(text, "1 frames narrower than 0.01 % are left out"));
	free(text);
	heap_profile__free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees),	 cmocka_unit_test(hostile_names),
		cmocka_unit_test(deterministic), cmocka_unit_test(differences),
		cmocka_unit_test(narrow_frames),
	};

	return cmocka_run_group_tests_name("flame", tests, NULL, NULL);
}
