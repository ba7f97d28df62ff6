return state == '2' and record
