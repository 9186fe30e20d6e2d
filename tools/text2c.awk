# text2c.awk - texts, one after the other, as one C string: awk -v name=look_text -f text2c.awk FILE...
# makes LOOK_TEXT.
BEGIN {
	print "/* made by tools/text2c.awk */"
	print "static const char " toupper(name) "[] ="
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	print "\t\"" $0 "\\n\""
}
END { print "\t;" }
