# scale.awk -v times=N - SQL that gives the Chinook tables N times their rows: every key, and every
# reference to one, is moved by a million for each further copy.
BEGIN {
	keys["artist"] = "artist_id"
	keys["album"] = "album_id artist_id"
	keys["employee"] = "employee_id reports_to"
	keys["customer"] = "customer_id support_rep_id"
	keys["genre"] = "genre_id"
	keys["media_type"] = "media_type_id"
	keys["track"] = "track_id album_id media_type_id genre_id"
	keys["playlist"] = "playlist_id"
	keys["playlist_track"] = "playlist_id track_id"
	keys["invoice"] = "invoice_id customer_id"
	keys["invoice_line"] = "invoice_line_id invoice_id track_id"
	n = split("artist album employee customer genre media_type track playlist playlist_track" \
	    " invoice invoice_line", order, " ")
	print "BEGIN; SET CONSTRAINTS ALL DEFERRED;"
	for (i = 1; i <= n; i++) {
		table = order[i]
		move = "(jsonb_build_object("
		m = split(keys[table], key, " ")
		for (k = 1; k <= m; k++)
			move = move (k > 1 ? ", " : "") "'" key[k] "', r." key[k] " + 1000000 * c"
		printf "INSERT INTO %s SELECT new.* FROM %s r CROSS JOIN generate_series(1, %d) c\n", \
		    table, table, times - 1
		printf "\tCROSS JOIN jsonb_populate_record(r, %s)) new ORDER BY c;\n", substr(move, 2)
	}
	print "COMMIT; ANALYZE;"
}
