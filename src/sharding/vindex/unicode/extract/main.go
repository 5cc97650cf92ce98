// Writes the collation weights that Vitess's unicode_loose vindexes hash; see README.md.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"unicode"

	"vitess.io/vitess/go/mysql/collations/vindex/collate"
	"vitess.io/vitess/go/mysql/collations/vindex/internal/colltab"
	"vitess.io/vitess/go/mysql/collations/vindex/unicode/norm"
)

const (
	flagMark     = 0x80 // its first element has a combining class, as that of a combining mark
	flagStarter  = 0x40 // a contraction may begin with it
	flagOrdered  = 0x20 // a mark with a weight of its own: the order of marks matters
	flagAttracts = 0x10 // as flagStarter, and a mark may be part of it
	flagReject   = 0x08 // not to be accepted
)

// What was assigned in Unicode 6.2, whose ideographs all releases of Go take for such.
var ideographic = &unicode.RangeTable{
	R16: []unicode.Range16{{0x3006, 0x3007, 1}, {0x3021, 0x3029, 1}, {0x3038, 0x303a, 1}, {0x3400, 0x4db5, 1},
		{0x4e00, 0x9fcc, 1}, {0xf900, 0xfa6d, 1}, {0xfa70, 0xfad9, 1}},
	R32: []unicode.Range32{{0x20000, 0x2a6d6, 1}, {0x2a700, 0x2b734, 1}, {0x2b740, 0x2b81d, 1}, {0x2f800, 0x2fa1d, 1}},
}

var assigned = []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc,
	unicode.Cf, unicode.Co}

var sequences bytes.Buffer

// Where a list of weights stands: the weight itself if it is one, else the place of its first in `sequences`.
func place(weights []uint32) uint32 {
	if len(weights) == 1 {
		return weights[0]
	}
	at := uint32(sequences.Len() / 4)
	for _, w := range weights {
		binary.Write(&sequences, binary.LittleEndian, w)
	}
	return at
}

func weights(elems []colltab.Elem) (out []uint32, ordered int) {
	for _, e := range elems {
		if e.Primary() > 0 {
			out = append(out, uint32(e.Primary()))
			if e.CCC() != 0 {
				ordered++
			}
		}
	}
	return
}

func main() {
	t := collate.Table()
	var characters, contractions, implicit bytes.Buffer
	implicitFrom, implicitKind := rune(-1), uint32(0)
	flush := func(end rune) {
		if implicitFrom >= 0 {
			binary.Write(&implicit, binary.LittleEndian, []uint32{uint32(implicitFrom), uint32(end), implicitKind})
			implicitFrom = -1
		}
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		s := []byte(string(r))
		if t.Implicit(s) {
			kind := uint32(0)
			switch {
			case r >= 0xAC00 && r <= 0xD7A3: // Hangul syllables are decomposed
			case unicode.Is(ideographic, r):
				kind = 1
			case !unicode.Is(unicode.Ideographic, r) && unicode.In(r, assigned...) &&
				norm.NFD.Properties(s).LeadCCC() == 0:
				kind = 2
			}
			if kind != implicitKind || implicitFrom < 0 {
				flush(r - 1)
				if implicitKind = kind; kind != 0 {
					implicitFrom = r
				}
			}
			continue
		}
		flush(r - 1)
		elems, _ := t.AppendNext(nil, s)
		list, ordered := weights(elems)
		flags := byte(0)
		if elems[0].CCC() != 0 {
			flags |= flagMark
		}
		if (elems[0].CCC() != 0) != (norm.NFD.Properties(s).LeadCCC() != 0) {
			fmt.Fprintf(os.Stderr, "%U: class of element %d, of character %d\n", r, elems[0].CCC(), norm.NFD.Properties(s).LeadCCC())
		}
		if ordered > 0 {
			flags |= flagOrdered
		}
		if ordered > 1 || ordered > 0 && elems[0].CCC() == 0 {
			flags |= flagReject
		}
		if t.Starter(s) {
			flags |= flagStarter
			for _, suffix := range t.Suffixes(s) {
				both, n := t.AppendNext(nil, append(s, suffix...))
				list, ordered := weights(both)
				if n != len(s)+len(suffix) {
					panic("a suffix that does not match")
				}
				if ordered > 0 || elems[0].CCC() != 0 || both[0].CCC() != 0 {
					flags |= flagReject
				}
				var key [3]uint32
				key[0] = uint32(r)
				for i, c := range []rune(suffix) {
					key[i+1] = uint32(c)
					if norm.NFD.Properties([]byte(string(c))).LeadCCC() != 0 {
						flags |= flagAttracts
					}
				}
				binary.Write(&contractions, binary.LittleEndian, key)
				binary.Write(&contractions, binary.LittleEndian, uint32(len(list)))
				binary.Write(&contractions, binary.LittleEndian, place(list))
			}
		}
		binary.Write(&characters, binary.LittleEndian, uint32(r)|uint32(len(list))<<24)

		binary.Write(&characters, binary.LittleEndian, place(list)|uint32(flags)<<24)
	}
	flush(unicode.MaxRune)
	os.WriteFile("characters.bin", characters.Bytes(), 0o644)
	os.WriteFile("contractions.bin", contractions.Bytes(), 0o644)
	os.WriteFile("sequences.bin", sequences.Bytes(), 0o644)
	os.WriteFile("implicit.bin", implicit.Bytes(), 0o644)
}
