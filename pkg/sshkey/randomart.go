package sshkey

import (
	"fmt"
	"strings"
)

// Randomart returns the picture that ssh-keygen -lv draws, lines ended by
// newlines. It is the walk of fingerprint_randomart() in OpenSSH's sshkey.c:
// from the middle of the field one diagonal step for each two bits of the
// digest, least significant first.
func (p Public) Randomart() string {
	const (
		width, height = 17, 9
		symbols       = " .o+=*BOX@%&#/^" // by the number of visits
	)
	var visits [height][width]byte
	x, y := width/2, height/2
	for _, b := range p.digest() {
		for range 4 {
			x = min(max(x+int(b&1)*2-1, 0), width-1)
			y = min(max(y+int(b>>1&1)*2-1, 0), height-1)
			if visits[y][x] < byte(len(symbols)-1) {
				visits[y][x]++
			}
			b >>= 2
		}
	}

	var art strings.Builder
	border := func(title string) {
		title = title[:min(len(title), width-1)] // the C string loses its end
		left := (width - len(title)) / 2
		art.WriteString("+" + strings.Repeat("-", left) + title +
			strings.Repeat("-", width-left-len(title)) + "+\n")
	}
	title := fmt.Sprintf("[%s %d]", p.Name(), p.Bits())
	if len(title) > width {
		title = "[" + p.Name() + "]"
	}
	border(title)
	for row := range height {
		art.WriteByte('|')
		for col := range width {
			switch {
			case row == y && col == x:
				art.WriteByte('E')
			case row == height/2 && col == width/2:
				art.WriteByte('S')
			default:
				art.WriteByte(symbols[visits[row][col]])
			}
		}
		art.WriteString("|\n")
	}
	border("[SHA256]")
	return art.String()
}
