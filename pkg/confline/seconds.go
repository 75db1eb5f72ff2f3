package confline

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Seconds parses a time in the form of sshd_config(5) TIME FORMATS: a sequence
// of numbers, each followed by s, m, h, d, w or nothing, such as 90d or 1h30m.
// It accepts what misc.c convtime() accepts, up to the most that it can count.
func Seconds(s string) (int64, error) {
	bad := errors.New("invalid time value " + strconv.Quote(s))
	if s == "" {
		return 0, bad
	}
	var total int64
	for p := s; p != ""; {
		p = strings.TrimLeft(p, " \t\n\v\f\r")
		end := 0
		for end < len(p) && ('0' <= p[end] && p[end] <= '9' || end == 0 && (p[0] == '+' || p[0] == '-')) {
			end++
		}
		n, err := strconv.ParseInt(p[:end], 10, 64)
		if err != nil || n < 0 {
			return 0, bad
		}
		if p = p[end:]; p != "" {
			unit, ok := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[p[0]|0x20]
			if !ok || n > math.MaxInt32/unit {
				return 0, bad
			}
			n *= unit
			p = p[1:]
		}
		if total += n; n > math.MaxInt32 || total > math.MaxInt32 {
			return 0, bad
		}
	}
	return total, nil
}
