"""Operations on images and annotations."""
