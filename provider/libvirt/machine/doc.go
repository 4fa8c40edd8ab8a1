// Package machine reads domains, defined and running, into the lab's terms, compares them with what is declared, and knows
// what each difference costs to mend.
package machine
