/*
 * limits - what the machine and the libraries take for the same input, with
 * nothing of copyhold around them.
 *
 *	limits sync FILE N	N appended records of 4 KiB, each made durable; prints records/s
 *	limits yaml FILE...	libyaml's events of these files; prints their number
 *	limits rows DATABASE	every column of every tenant and manifest record; prints the bytes
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <yaml.h>

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int
limit_sync(const char *file, long n)
{
	static char record[4096];
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct timespec from, to;

	if (fd < 0)
		die(file);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < n; i++)
		if (write(fd, record, sizeof record) != (ssize_t)sizeof record || fdatasync(fd) != 0)
			die(file);
	clock_gettime(CLOCK_MONOTONIC, &to);
	close(fd);
	unlink(file);
	printf("%.1f\n", (double)n / ((double)(to.tv_sec - from.tv_sec) +
	    (double)(to.tv_nsec - from.tv_nsec) / 1e9));
	return 0;
}

static long
events_of(const char *file)
{
	FILE *in = fopen(file, "rb");
	yaml_parser_t parser;
	yaml_event_t event;
	long n = 0;
	int last = 0;

	if (!in || !yaml_parser_initialize(&parser))
		die(file);
	yaml_parser_set_input_file(&parser, in);
	for (; !last; n++) {
		if (!yaml_parser_parse(&parser, &event))
			die(file);
		last = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	fclose(in);
	return n;
}

static int
limit_yaml(char **files)
{
	long n = 0;

	for (; *files; files++)
		n += events_of(*files);
	printf("%ld\n", n);
	return 0;
}

static long
bytes_of(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;
	long n = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		die(sql);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(stmt); i++)
			if (sqlite3_column_text(stmt, i))
				n += sqlite3_column_bytes(stmt, i);
	sqlite3_finalize(stmt);
	return n;
}

static int
limit_rows(const char *file)
{
	sqlite3 *db;
	long n;

	if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		die(file);
	n = bytes_of(db, "SELECT * FROM tenant ORDER BY name") +
	    bytes_of(db, "SELECT name, hash FROM object ORDER BY kind, name");
	printf("%ld\n", n);
	return sqlite3_close(db) != SQLITE_OK;
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "sync") == 0)
		return limit_sync(argv[2], strtol(argv[3], NULL, 10));
	if (argc > 2 && strcmp(argv[1], "yaml") == 0)
		return limit_yaml(argv + 2);
	if (argc == 3 && strcmp(argv[1], "rows") == 0)
		return limit_rows(argv[2]);
	fprintf(stderr, "usage: limits sync FILE N | yaml FILE... | rows DATABASE\n");
	return 64;
}
