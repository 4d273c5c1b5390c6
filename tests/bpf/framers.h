/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by framers.bpf.c and test_framers.c. */
#ifndef TESTS_FRAMERS_H
#define TESTS_FRAMERS_H

#define SEGMENT_AT 16 /* offset of the segment in a packet */
#define EVENTS_MAX 1024

struct framer_event {
	__u64 bytes;
	__u64 name[2];
	__u32 seq;
	__u16 status;
	__u8 what;
	__u8 role;
	__u8 method;
	__u8 paired;
	__u8 dir;
	__u8 pad[5];
};

#endif
