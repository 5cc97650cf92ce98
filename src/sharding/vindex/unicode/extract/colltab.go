package colltab

// Starters tells whether a contraction may begin with the first character of s.
func (t *Table) Starter(s []byte) bool {
	ce, _ := t.Index.lookup(s)
	return ce.ctype() == ceContractionIndex
}

// Implicit tells whether the table does not have the first character of s.
func (t *Table) Implicit(s []byte) bool {
	ce, _ := t.Index.lookup(s)
	return ce == 0
}

// Suffixes lists what may follow the first character of s in a contraction.
func (t *Table) Suffixes(s []byte) (out []string) {
	ce, _ := t.Index.lookup(s)
	index, n, _ := splitContractIndex(ce)
	var walk func(states ContractTrieSet, n int, before string)
	walk = func(states ContractTrieSet, n int, before string) {
		for i := 0; i < n; i++ {
			e := states[i]
			switch {
			case e.N != final:
				at := before + string([]byte{e.L})
				if e.I != noIndex {
					out = append(out, at)
				}
				walk(states[int(e.H)+n:], int(e.N), at)
			case e.I != noIndex:
				for c := int(e.L); c <= max(int(e.H), int(e.L)); c++ {
					out = append(out, before+string([]byte{byte(c)}))
				}
			}
		}
	}
	walk(t.ContractTries[index:], n, "")
	return out
}
